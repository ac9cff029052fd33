{{/* Selects the release's pods of some components: (dict "root" $ "components" LIST) */}}
{{- define "resnet-sweep.selectComponents" -}}
matchLabels:
  app.kubernetes.io/name: resnet-sweep
  app.kubernetes.io/instance: {{ .root.Release.Name }}
matchExpressions:
  - {key: app.kubernetes.io/component, operator: In, values: {{ toJson .components }}}
{{- end }}

{{/*
A rule to the given addresses and ports. Without addresses it names no peer at all: 0.0.0.0/0 would leave out pods of
the same cluster where the network tells pods from addresses (Cilium).
*/}}
{{- define "resnet-sweep.egress" -}}
- ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
  {{- with .cidrs }}
  to:
    {{- range . }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  {{- end }}
{{- end }}

{{- define "resnet-sweep.egressDns" -}}
# 5353 is where OpenShift's name servers listen behind their service.
- ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}, {protocol: UDP, port: 5353}, {protocol: TCP, port: 5353}]
{{- end }}

{{- define "resnet-sweep.egressDatabase" -}}
{{- if include "resnet-sweep.ownDatabase" . -}}
{{- $labels := include "resnet-sweep.selectorLabels" (dict "root" $ "component" "postgresql") | fromYaml -}}
- to: [{podSelector: {matchLabels: {{ toJson $labels }}}}]
  ports: [{protocol: TCP, port: 5432}]
{{- else -}}
{{- include "resnet-sweep.egress" .Values.networkPolicy.database -}}
{{- end -}}
{{- end }}

{{/* The port of storage.endpoint. */}}
{{- define "resnet-sweep.storagePort" -}}
{{- $url := urlParse .Values.storage.endpoint -}}
{{- regexFind `[0-9]+$` (regexFind `:[0-9]+$` $url.host) | default (ternary "80" "443" (eq $url.scheme "http")) -}}
{{- end }}
