module weir.dev/jsonnet

go 1.26.0

require (
	github.com/google/go-jsonnet v0.22.0
	weir.dev/plugin v0.0.0
)

require (
	go.yaml.in/yaml/v2 v2.4.2 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	sigs.k8s.io/yaml v1.6.0 // indirect
)

replace weir.dev/plugin => ../sdk/go
