{{ define "who" }}b{{ end }}
