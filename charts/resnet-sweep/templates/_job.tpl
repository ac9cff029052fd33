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

{{/*
What lets Kueue admit a Job with fewer pods at once, (dict "root" $ "pods" NUMBER "fewer" BOOL); with "fewer" it has fewer in
all as well, which suits workers, as each goes on until no trial is left.
*/}}
{{- define "resnet-sweep.partialAdmission" -}}
{{- if and .root.Values.kueue.queueName .root.Values.kueue.partialAdmission (gt (int .pods) 1) -}}
kueue.x-k8s.io/job-min-parallelism: "1"
{{- if .fewer }}
kueue.x-k8s.io/job-completions-equal-parallelism: "true"
{{- end }}
{{- end }}
{{- end }}

{{/* A changed experiment makes another Job of a stage whose pods carry this. */}}
{{- define "resnet-sweep.experimentChecksum" -}}
checksum/experiment: {{ include "resnet-sweep.experiment" . | sha256sum }}
{{- end }}
