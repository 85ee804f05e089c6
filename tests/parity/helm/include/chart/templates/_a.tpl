{{ define "who" }}a{{ end }}
{{ define "walk" }}{{ .name }}({{ range .children }}{{ include "walk" . }}{{ end }}){{ end }}
