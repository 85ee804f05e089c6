// Command transforms labels each object, drops those named "drop" and adds one of its own.
package main

import (
	"encoding/json"
	"fmt"

	"weir.dev/plugin"
	"weir.dev/plugin/transformer"
)

func init() { transformer.Export(transform) }

func main() {}

// Config says which label.
type Config struct {
	Team string `json:"team"`
}

func transform(objects []json.RawMessage, p plugin.Params) ([]json.RawMessage, error) {
	var config Config
	if err := p.Decode(&config); err != nil {
		return nil, err
	}
	if config.Team == "" {
		return nil, plugin.Errorf("bad-config", "config.team is missing: say which team the objects of %s are of", p.App)
	}
	var out []json.RawMessage
	for _, object := range objects {
		var fields map[string]any
		if err := json.Unmarshal(object, &fields); err != nil {
			return nil, fmt.Errorf("an object is no JSON: %w", err)
		}
		metadata, _ := fields["metadata"].(map[string]any)
		if metadata["name"] == "drop" {
			continue
		}
		metadata["labels"] = map[string]any{"team": config.Team}
		changed, err := json.Marshal(fields)
		if err != nil {
			return nil, err
		}
		out = append(out, changed)
	}
	added := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"added"},"data":{"of":%q}}`, p.App)
	return append(out, json.RawMessage(added)), nil
}
