{{/*
Pods of our image. Each takes (dict "root" $ "component" NAME "values" BLOCK "arguments" LIST) and, where it differs,
"training" true (GPU nodes), "heartbeat" true (a stage that touches heartbeat files, and a probe that looks at
them), "stages" true (the pipeline: its token and the stages' manifests), "data" true (the data volume), "annotations" DICT.
*/}}
{{- define "resnet-sweep.podTemplate" -}}
metadata:
  labels:
    {{- include "resnet-sweep.podLabels" . | nindent 4 }}
  {{- with merge dict (.annotations | default dict) .root.Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "resnet-sweep.podSpec" . | nindent 2 }}
{{- end }}

{{- define "resnet-sweep.podSpec" -}}
{{- $ := .root -}}
{{- $fullname := include "resnet-sweep.fullname" $ -}}
restartPolicy: Never
terminationGracePeriodSeconds: {{ ternary (int $.Values.terminationGracePeriodSeconds) 30 (include "resnet-sweep.isStage" . | eq "true") }}
{{- if .stages }}
serviceAccountName: {{ $fullname }}-pipeline
automountServiceAccountToken: true
{{- else }}
serviceAccountName: {{ $fullname }}
automountServiceAccountToken: false
{{- end }}
{{- if and (gt (int .values.gpus) 0) $.Values.gpu.resourceClaimTemplate }}
resourceClaims:
  - {name: gpus, resourceClaimTemplateName: {{ $.Values.gpu.resourceClaimTemplate }}}
{{- end }}
{{ include "resnet-sweep.podSecurity" (dict) }}
{{ include "resnet-sweep.scheduling" (dict "root" $ "training" .training "impatient" true) }}
containers:
  - name: {{ .component }}
    image: {{ include "resnet-sweep.image" $ | quote }}
    imagePullPolicy: {{ $.Values.image.pullPolicy }}
    args: {{ toJson .arguments }}
    env:
      {{- include "resnet-sweep.environment" . | nindent 6 }}
    {{- if and (eq .component "pipeline") $.Values.metrics.enabled }}
    ports:
      - {name: metrics, containerPort: {{ $.Values.metrics.port }}}
    {{- end }}
    resources:
      {{- include "resnet-sweep.resources" . | nindent 6 }}
    {{- if .heartbeat }}
    # Each process touches a file of its own while it makes progress, and removes it when it ends.
    livenessProbe:
      exec:
        command: [sh, -c, {{ include "resnet-sweep.heartbeatCheck" $ | quote }}]
      periodSeconds: 30
      timeoutSeconds: 10
      failureThreshold: 2
      terminationGracePeriodSeconds: 30
    {{- end }}
    # The reason of a failure stands in the pod's status, where the pipeline reads it: it may read no log.
    terminationMessagePolicy: FallbackToLogsOnError
    securityContext:
      {{- include "resnet-sweep.containerSecurity" $ | nindent 6 }}
    volumeMounts:
      - {name: config, mountPath: /etc/resnet-sweep, readOnly: true}
      - {name: tmp, mountPath: /tmp}
      {{- if include "resnet-sweep.ownSharedMemory" . }}
      - {name: shm, mountPath: /dev/shm}
      {{- end }}
      {{- if and .data $.Values.data.volume }}
      - {name: data, mountPath: /data, readOnly: true}
      {{- end }}
      {{- if include "resnet-sweep.caBundle" $ }}
      - {name: ca-bundle, mountPath: /etc/resnet-sweep-ca, readOnly: true}
      {{- end }}
      {{- with $.Values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: config
    projected:
      sources:
        - configMap: {name: {{ .experiment | default (printf "%s-experiment" $fullname) }}}
        {{- if .stages }}
        - configMap:
            name: {{ $fullname }}-stages
            items:
              {{- range $path, $_ := $.Files.Glob "stages/*.yaml" }}
              - {key: {{ base $path }}, path: {{ $path }}}
              {{- end }}
              {{- if include "resnet-sweep.ownSecrets" $ }}
              - {key: secrets.yaml, path: stages/secrets.yaml}
              {{- end }}
        {{- end }}
  - name: tmp
    {{- if include "resnet-sweep.isStage" . }}
    {{- toYaml ($.Values.scratch.volume | default (dict "emptyDir" (dict "sizeLimit" $.Values.scratch.size))) | nindent 4 }}
    {{- else }}
    emptyDir: {sizeLimit: 1Gi}
    {{- end }}
  {{- if include "resnet-sweep.ownSharedMemory" . }}
  - name: shm
    emptyDir: {medium: Memory, sizeLimit: {{ $.Values.sharedMemory }}}
  {{- end }}
  {{- if and .data $.Values.data.volume }}
  - name: data
    {{- toYaml $.Values.data.volume | nindent 4 }}
  {{- end }}
  {{- with include "resnet-sweep.caBundle" $ }}
  - name: ca-bundle
    {{- . | nindent 4 }}
  {{- end }}
  {{- with $.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Whether a component is a stage, with progress to save and room to need: "true" or nothing. */}}
{{- define "resnet-sweep.isStage" -}}
{{- if has .component (list "prepare" "sweep" "final-train" "evaluate") }}true{{ end -}}
{{- end }}

{{/*
Whether a pod has a /dev/shm of its own, "true" or nothing: NCCL moves data between GPUs through it, and the 64 MiB of a
container are too little. Nothing else uses it. A volume there would hide the /dev/shm that NVIDIA's device plugin mounts
with its MPS (sharing.mps), without which CUDA cannot reach the service; the plugin gives a pod only one of the GPUs that
it shares so, unless it is told otherwise.
*/}}
{{- define "resnet-sweep.ownSharedMemory" -}}
{{- if and (eq .component "final-train") (gt (int .values.gpus) 1) }}true{{ end -}}
{{- end }}

{{- define "resnet-sweep.resources" -}}
{{- $resources := deepCopy .values.resources -}}
{{- if and (gt (int .values.gpus) 0) .root.Values.gpu.resourceClaimTemplate -}}
{{- $resources = set $resources "claims" (list (dict "name" "gpus")) -}}
{{- else if gt (int .values.gpus) 0 -}}
{{- $limits := set ($resources.limits | default dict) .root.Values.gpu.resourceName (int .values.gpus) -}}
{{- $resources = set $resources "limits" $limits -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}

{{/* Fails once a heartbeat is two minutes older than what counts as a hang: by then another worker has the lease. */}}
{{- define "resnet-sweep.heartbeatCheck" -}}
{{- $minutes := add 2 (ceil (divf .Values.lease.hangSeconds 60)) -}}
test -z "$(find {{ include "resnet-sweep.heartbeatFolder" . }} -type f -mmin +{{ $minutes }} 2>/dev/null)"
{{- end }}

{{- define "resnet-sweep.caBundle" -}}
{{- with .Values.storage.caBundle -}}
{{- if .configMap }}configMap: {name: {{ .configMap }}}{{ else if .secret }}secret: {secretName: {{ .secret }}}{{ end -}}
{{- end -}}
{{- end }}
