{{ define "demo.url" }}https://{{ .Release.Name }}.example{{ end }}
