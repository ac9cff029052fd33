{{/*
The release's name as the beginning of every object's: a Service's name takes no dots, and a pod of the longest Job,
NAME-final-train-HASH-INDEX, is a host of that name. What is cut ends in a hash of the whole: without it, two releases
that begin alike would have the same Secrets, services and study.
*/}}
{{- define "resnet-sweep.fullname" -}}
{{- $name := .Release.Name | replace "." "-" -}}
{{- if gt (len $name) 39 -}}
{{- $name = printf "%s-%s" ($name | trunc 30 | trimSuffix "-") (sha256sum .Release.Name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end }}

{{/* What selects the pods of a component: (dict "root" $ "component" NAME) */}}
{{- define "resnet-sweep.selectorLabels" -}}
app.kubernetes.io/name: resnet-sweep
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of an object. */}}
{{- define "resnet-sweep.labels" -}}
{{ include "resnet-sweep.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of a pod: without versions, which would make another pod of it, and another Job, whenever they change. */}}
{{- define "resnet-sweep.podLabels" -}}
{{ include "resnet-sweep.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with merge dict .root.Values.podLabels .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of a stage's Job. */}}
{{- define "resnet-sweep.stageLabels" -}}
{{ include "resnet-sweep.labels" . }}
{{- with .root.Values.kueue.queueName }}
kueue.x-k8s.io/queue-name: {{ . }}
{{- end }}
{{- end }}

{{/*
The hash that ends the name of the pipeline's Job: a Job cannot be changed, so that whatever is changed makes another, also
where what is rendered is applied without Helm and is always the first revision.
*/}}
{{- define "resnet-sweep.revision" -}}
{{- list .Release.Revision .Chart.Version .Chart.AppVersion .Values | toJson | sha256sum | trunc 8 -}}
{{- end }}
{{- define "resnet-sweep.pipelineName" -}}
{{ include "resnet-sweep.fullname" . }}-pipeline-{{ include "resnet-sweep.revision" . }}
{{- end }}

{{- define "resnet-sweep.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{/* What the study is called in database and bucket. */}}
{{- define "resnet-sweep.studyName" -}}
{{- (.Values.experiment.study | default dict).name | default (include "resnet-sweep.fullname" .) -}}
{{- end }}

{{/* "true" where the release brings its own PostgreSQL, or bucket. */}}
{{- define "resnet-sweep.ownDatabase" -}}
{{- if not .Values.database.existingSecret }}true{{ end -}}
{{- end }}
{{- define "resnet-sweep.ownStorage" -}}
{{- if not (or .Values.storage.url .Values.storage.existingSecret) }}true{{ end -}}
{{- end }}

{{- define "resnet-sweep.databaseSecret" -}}
{{ .Values.database.existingSecret | default (printf "%s-postgresql" (include "resnet-sweep.fullname" .)) }}
{{- end }}
{{- define "resnet-sweep.databaseSecretKey" -}}
{{- ternary "DATABASE_URL" .Values.database.secretKey (eq (include "resnet-sweep.ownDatabase" .) "true") -}}
{{- end }}
{{- define "resnet-sweep.storageUrl" -}}
{{ .Values.storage.url | default "s3://sweeps" }}
{{- end }}

{{/* "true" where an upgrade has to make a password anew, since the Secret of a throwaway service is not there. */}}
{{- define "resnet-sweep.lacksPassword" -}}
{{- $services := list -}}
{{- if include "resnet-sweep.ownDatabase" . }}{{ $services = append $services "postgresql" }}{{ end -}}
{{- if include "resnet-sweep.ownStorage" . }}{{ $services = append $services "bucket" }}{{ end -}}
{{- if .Release.IsUpgrade -}}
{{- range $services -}}
{{- if not (lookup "v1" "Secret" $.Release.Namespace (printf "%s-%s" (include "resnet-sweep.fullname" $) .)) }}true{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}
