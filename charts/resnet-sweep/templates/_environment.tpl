{{/*
The environment of a container of our image: a variable for each field of jobs/runtime/settings.py that the place has to set.
(dict "root" $ "component" NAME "values" BLOCK "heartbeat" BOOL), BLOCK being the stage's part of the values.
*/}}
{{- define "resnet-sweep.environment" -}}
{{- $extra := list -}}
{{- range .root.Values.extraEnv }}{{ $extra = append $extra .name }}{{ end -}}
{{- $environment := list -}}
{{- range fromYamlArray (include "resnet-sweep.chartEnvironment" .) -}}
{{- if not (has .name $extra) }}{{ $environment = append $environment . }}{{ end -}}
{{- end -}}
{{- toYaml (concat $environment .root.Values.extraEnv) -}}
{{- end }}

{{- define "resnet-sweep.chartEnvironment" -}}
{{- $ := .root -}}
{{- /* The pipeline starts without its Secrets, to say in its log which is missing. */}}
{{- $optional := eq .component "pipeline" }}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "resnet-sweep.databaseSecret" $ }}
      key: {{ include "resnet-sweep.databaseSecretKey" $ }}
      optional: {{ $optional }}
- {name: ARTIFACTS_URL, value: {{ include "resnet-sweep.storageUrl" $ | quote }}}
{{- include "resnet-sweep.s3Environment" (dict "root" $ "optional" $optional) }}
- {name: LOG_FORMAT, value: {{ $.Values.logFormat }}}
{{- if eq .component "pipeline" }}
{{- with $.Values.notify.existingSecret }}
- name: NOTIFY_URL
  valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $.Values.notify.secretKey }}}}
{{- end }}
{{- if include "resnet-sweep.ownSecrets" $ }}
- {name: ENV_FILE, value: /tmp/environment}
{{- end }}
{{- if $.Values.metrics.enabled }}
- {name: METRICS_PORT, value: {{ $.Values.metrics.port | quote }}}
{{- end }}
{{- end }}
{{- if include "resnet-sweep.isStage" . }}
- {name: DEVICE, value: {{ include "resnet-sweep.device" . }}}
{{- with include "resnet-sweep.threads" .values }}
- {name: THREADS, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- if eq .component "sweep" }}
- {name: PROCESSES, value: {{ .values.processes | quote }}}
{{- end }}
{{- if eq .component "final-train" }}
- {name: RANKS, value: {{ max 1 .values.gpus | quote }}}
{{- end }}
{{- if .heartbeat }}
- {name: HEARTBEAT_DIR, value: {{ include "resnet-sweep.heartbeatFolder" $ }}}
{{- end }}
- {name: LEASE_SECONDS, value: {{ $.Values.lease.seconds | quote }}}
- {name: RENEWAL_SECONDS, value: {{ $.Values.lease.renewalSeconds | quote }}}
- {name: HANG_SECONDS, value: {{ $.Values.lease.hangSeconds | quote }}}
- {name: CHECKPOINT_SECONDS, value: {{ $.Values.checkpoint.seconds | quote }}}
- {name: OUTAGE_DEADLINE_SECONDS, value: {{ $.Values.outageDeadlineSeconds | quote }}}
- {name: MAX_ATTEMPTS, value: {{ $.Values.maxAttempts | quote }}}
- {name: MAX_CRASHES, value: {{ $.Values.maxCrashes | quote }}}
{{- end }}

{{- define "resnet-sweep.s3Environment" -}}
{{- $ := .root -}}
{{- $optional := .optional -}}
{{- $own := include "resnet-sweep.ownStorage" $ -}}
{{- $secret := ternary (printf "%s-bucket" (include "resnet-sweep.fullname" $)) $.Values.storage.existingSecret (eq $own "true") -}}
{{- if $secret }}
{{- range $key := list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ $key }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $key }}, optional: {{ $optional }}}}
{{- end }}
{{- if not $own }}
- name: AWS_SESSION_TOKEN
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: AWS_SESSION_TOKEN, optional: true}}
{{- end }}
{{- end }}
{{- if $own }}
- {name: AWS_ENDPOINT_URL, value: "http://{{ include "resnet-sweep.fullname" $ }}-bucket:9000"}
- {name: AWS_REGION, value: us-east-1}
- {name: S3_ADDRESSING, value: path}
{{- else }}
{{- with $.Values.storage }}
{{- with .endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
{{- with .region }}
- {name: AWS_REGION, value: {{ . | quote }}}
{{- end }}
- {name: S3_ADDRESSING, value: {{ .addressing }}}
{{- if or .caBundle.configMap .caBundle.secret }}
- {name: AWS_CA_BUNDLE, value: {{ printf "/etc/resnet-sweep-ca/%s" .caBundle.key | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "resnet-sweep.device" -}}
{{- .root.Values.device | default (ternary "cuda" "cpu" (gt (int .values.gpus) 0)) -}}
{{- end }}

{{- define "resnet-sweep.heartbeatFolder" -}}
/tmp/heartbeats
{{- end }}

{{/* Threads of a process: its share of the pod's CPUs, since torch would take all that the node has. */}}
{{- define "resnet-sweep.threads" -}}
{{- $cpu := toString ((.resources.limits | default dict).cpu | default ((.resources.requests | default dict).cpu | default "")) -}}
{{- with $cpu -}}
{{- $cpus := ternary (divf (float64 (trimSuffix "m" .)) 1000) (float64 .) (hasSuffix "m" .) -}}
{{- max 1 (floor (divf (ceil $cpus) (int ($.processes | default (max 1 (int $.gpus)))))) -}}
{{- end -}}
{{- end }}
