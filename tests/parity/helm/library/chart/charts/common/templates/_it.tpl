{{- define "common.configmap" }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .name }}
  labels: {{- include "common.labels" .root | nindent 4 }}
{{- end }}
{{- define "common.labels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
{{- define "common.merged" }}
{{- $top := first . }}
{{- $over := fromYaml (include (index . 1) $top) }}
{{- $base := fromYaml (include "common.configmap" (dict "name" "merged" "root" $top)) }}
{{- toYaml (merge $over $base) }}
{{- end }}
