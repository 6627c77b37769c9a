{{- /* The name of all resources: the release's, with the chart's unless it is in there. Kubernetes adds to it. */}}
{{- define "feature-server.name" -}}
{{- if contains .Chart.Name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* What selects the pod. It never changes. */}}
{{- define "feature-server.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "feature-server.labels" -}}
{{ include "feature-server.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "feature-server.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- /* Where the probes ask. The port of metrics is plain HTTP; the other one may want a certificate of its clients. */}}
{{- define "feature-server.probed" -}}
{{- if .Values.metrics.enabled -}}
port: metrics
{{- else if .Values.tls.clientCaSecretName -}}
{{- fail "with tls.clientCaSecretName the probes need metrics.enabled: they show no certificate" }}
{{- else if .Values.tls.secretName -}}
port: grpc
scheme: HTTPS
{{- else -}}
port: grpc
{{- end }}
{{- end }}

{{- /* Values that do not fit together. */}}
{{- define "feature-server.check" -}}
{{- if not .Values.store.url }}
{{- if gt (int .Values.replicas) 1 }}
{{- fail "replicas > 1 needs store.url: without a shared database each pod would be another service" }}
{{- end }}
{{- range list "passwordSecretName" "caSecretName" "keysSecretName" }}
{{- if index $.Values.store . }}
{{- fail (printf "store.%s needs store.url" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
