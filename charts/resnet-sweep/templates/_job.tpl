{{/*
How the end of a stage's pod is taken (.component is its container): evictions, drains and exit code 75 (interrupted,
progress saved) are no failures; 78 (the configuration is wrong) would be the same the next time, and so would what
"final" lists. A pod is replaced only when the one before it is gone for good, so that no two of the final training run.
*/}}
{{- define "resnet-sweep.jobPolicy" -}}
podReplacementPolicy: Failed
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
    - action: Ignore
      onExitCodes: {containerName: {{ .component }}, operator: In, values: [75]}
    - action: FailJob
      onExitCodes: {containerName: {{ .component }}, operator: In, values: {{ toJson (append (.final | default list) 78) }}}
{{- with .values.deadlineSeconds }}
activeDeadlineSeconds: {{ . }}
{{- end }}
{{- with .root.Values.ttlSecondsAfterFinished }}
ttlSecondsAfterFinished: {{ . }}
{{- end }}
{{- end }}

{{/* A changed experiment makes another Job of a stage whose pods carry this. */}}
{{- define "resnet-sweep.experimentChecksum" -}}
checksum/experiment: {{ include "resnet-sweep.experiment" . | sha256sum }}
{{- end }}
