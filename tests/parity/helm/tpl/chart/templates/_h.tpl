{{ define "demo.v" }}value {{ . }}{{ end }}
