{{/*
The experiment as the processes read it, the same from every Helm: some leave the nulls of values.yaml in, some do not.
*/}}
{{- define "resnet-sweep.experiment" -}}
{{- $experiment := deepCopy .Values.experiment -}}
{{- $_ := set $experiment "study" (set (deepCopy ($experiment.study | default dict)) "name" (include "resnet-sweep.studyName" .)) -}}
{{- include "resnet-sweep.dropNulls" $experiment -}}
{{- toYaml $experiment -}}
{{- end }}

{{/* Takes every key without a value out of a dict and those in it: the processes have their own defaults. */}}
{{- define "resnet-sweep.dropNulls" -}}
{{- range $key, $value := . -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $ $key -}}
{{- else if kindIs "map" $value -}}
{{- include "resnet-sweep.dropNulls" $value -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whether prepare downloads the data set: "true" or nothing. */}}
{{- define "resnet-sweep.downloads" -}}
{{- $data := .Values.experiment.data | default dict -}}
{{- if and (hasPrefix "cifar" ($data.source | default "digits")) (not $data.path) }}true{{ end -}}
{{- end }}
