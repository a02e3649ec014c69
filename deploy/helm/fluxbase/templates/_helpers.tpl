{{- define "fluxbase.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "fluxbase.selector" -}}
app.kubernetes.io/name: fluxbase
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fluxbase.labels" -}}
{{ include "fluxbase.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
