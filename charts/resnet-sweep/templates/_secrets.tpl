{{/*
The Secrets of the release's own services by component, with $password where the pipeline puts one in; nothing where there
are none. The chart makes no password up: what it renders is the same each time.
*/}}
{{- define "resnet-sweep.ownSecrets" -}}
{{- $database := printf "%s-postgresql:5432/sweeps" (include "resnet-sweep.fullname" .) -}}
{{- if include "resnet-sweep.ownDatabase" . }}
postgresql:
  POSTGRES_PASSWORD: $password
  DATABASE_URL: postgresql://sweep:$password@{{ $database }}
{{- end }}
{{- if include "resnet-sweep.ownStorage" . }}
bucket:
  AWS_ACCESS_KEY_ID: sweep
  AWS_SECRET_ACCESS_KEY: $password
{{- end }}
{{- if and .Values.dashboard.enabled (not .Values.dashboard.existingSecret) }}
dashboard:
  DATABASE_URL: postgresql://reader:$password@{{ $database }}
{{- end }}
{{- end }}
