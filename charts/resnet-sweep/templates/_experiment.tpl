{{/*
The experiment as the processes read it, the same from every Helm: some leave the nulls of values.yaml in, some do not.
Helm writes small and large numbers as 1e-05, which PyYAML, a YAML 1.1 reader, takes for a string; 1.0e-05 is a number
to both. toYaml quotes strings that look like numbers, so none of them is hit.
*/}}
{{- define "resnet-sweep.experiment" -}}
{{- $experiment := deepCopy .Values.experiment -}}
{{- $_ := set $experiment "study" (set (deepCopy ($experiment.study | default dict)) "name" (include "resnet-sweep.studyName" .)) -}}
{{- include "resnet-sweep.dropNulls" $experiment -}}
{{- regexReplaceAll `(?m)^(\s*(?:- )*(?:- |[^\s:"']+: )-?\d+)(e[-+]\d+)$` (toYaml $experiment) "${1}.0${2}" -}}
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
