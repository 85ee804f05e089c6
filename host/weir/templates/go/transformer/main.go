// Gives every object a label that says which team it belongs to.
package main

import (
	"encoding/json"

	"weir.dev/plugin"
	"weir.dev/plugin/transformer"
)

func init() { transformer.Export(transform) }

func main() {}

// config is what `config` may hold in weir.yaml. A key that is not here is an error that names it.
type config struct {
	// Team is the label's value.
	Team string `json:"team"`
}

func transform(objects []json.RawMessage, p plugin.Params) ([]json.RawMessage, error) {
	var config config
	if err := p.Decode(&config); err != nil {
		return nil, err
	}
	if config.Team == "" {
		return nil, plugin.Errorf("bad-config", "config.team is missing: say which team the app belongs to")
	}
	for i, bytes := range objects {
		var object map[string]any
		if err := json.Unmarshal(bytes, &object); err != nil {
			return nil, err
		}
		labels(object)["team"] = config.Team
		changed, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		objects[i] = changed
	}
	plugin.Info("%d objects of team %s", len(objects), config.Team)
	return objects, nil
}

// labels are an object's labels, made where there are none.
func labels(object map[string]any) map[string]any {
	for _, key := range []string{"metadata", "labels"} {
		inner, ok := object[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			object[key] = inner
		}
		object = inner
	}
	return object
}
