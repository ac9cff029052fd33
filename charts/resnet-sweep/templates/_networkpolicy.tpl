{{/* Selects the release's pods of some components: (dict "root" $ "components" LIST) */}}
{{- define "resnet-sweep.selectComponents" -}}
matchLabels:
  app.kubernetes.io/name: resnet-sweep
  app.kubernetes.io/instance: {{ .root.Release.Name }}
matchExpressions:
  - {key: app.kubernetes.io/component, operator: In, values: {{ toJson .components }}}
{{- end }}

{{/*
Whom a rule is about, as cidrs and pods name them. Addresses are not pods where the network tells them apart (Cilium): there
0.0.0.0/0 leaves out what runs in the cluster.
*/}}
{{- define "resnet-sweep.peers" -}}
{{- $peers := list -}}
{{- range .cidrs }}{{ $peers = append $peers (dict "ipBlock" (dict "cidr" .)) }}{{ end -}}
{{- toJson (concat $peers (.pods | default list)) -}}
{{- end }}

{{/* A rule to these and no others: (dict "cidrs" LIST "pods" LIST "ports" LIST) */}}
{{- define "resnet-sweep.egress" -}}
- to: {{ include "resnet-sweep.peers" . }}
  ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
{{- end }}

{{/* A rule to any address; without a peer, since even 0.0.0.0/0 is not all there is. */}}
{{- define "resnet-sweep.egressAnywhere" -}}
- ports:
    {{- range . }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
{{- end }}

{{- define "resnet-sweep.egressDns" -}}
{{- with .Values.networkPolicy.dns -}}
- to: {{ include "resnet-sweep.peers" . }}
  ports:
    {{- range .ports }}
    - {protocol: UDP, port: {{ int . }}}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
{{- end }}
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
