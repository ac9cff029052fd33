{{/* The restricted Pod Security Standard and a read-only root; "uid" where an image needs a certain one. */}}
{{- define "resnet-sweep.podSecurity" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
  {{- with .uid }}
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  # Always would open the folders to the group at every start, and PostgreSQL does not start on such a folder.
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
{{- end }}

{{- define "resnet-sweep.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/*
Where a pod may run. Pods that can go on elsewhere ("impatient") leave a node that does not answer after one minute
instead of the five that Kubernetes would give it.
*/}}
{{- define "resnet-sweep.scheduling" -}}
{{- $tolerations := list -}}
{{- if .impatient -}}
{{- range list "node.kubernetes.io/not-ready" "node.kubernetes.io/unreachable" -}}
{{- $tolerations = append $tolerations (dict "key" . "operator" "Exists" "effect" "NoExecute" "tolerationSeconds" 60) -}}
{{- end -}}
{{- end -}}
{{- $place := ternary .root.Values.scheduling.training .root.Values.scheduling.other (default false .training) -}}
{{- with concat $place.tolerations $tolerations -}}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "nodeSelector" "affinity" "topologySpreadConstraints" }}
{{- with index $place $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- range $key := list "priorityClassName" "runtimeClassName" }}
{{- with index $place $key }}
{{ $key }}: {{ . }}
{{- end }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
