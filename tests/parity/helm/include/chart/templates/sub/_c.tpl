{{ define "who" }}c{{ end }}
