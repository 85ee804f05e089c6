// Command validates finds fault with objects by their name, in every form that a finding may have.
package main

import (
	"encoding/json"
	"errors"

	"weir.dev/plugin"
	"weir.dev/plugin/validator"
)

func init() { validator.Export(validate) }

func main() {}

func validate(objects []json.RawMessage, _ plugin.Params) ([]plugin.Finding, error) {
	var findings []plugin.Finding
	for i, object := range objects {
		var named struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(object, &named); err != nil {
			return nil, err
		}
		at := uint32(i)
		switch named.Metadata.Name {
		case "bad":
			findings = append(findings, plugin.Finding{
				Code: "bad-name", Message: "it is called bad", Object: &at, Path: "/metadata/name", Line: 4,
			})
		case "doubtful":
			findings = append(findings, plugin.Finding{
				Level: plugin.LevelWarning, Code: "doubtful", Message: "it may be bad", Object: &at,
			})
		case "noted":
			findings = append(findings, plugin.Finding{Level: plugin.LevelInfo, Code: "noted", Message: "somebody was here"})
		case "unseen":
			return nil, errors.New("it is too dark")
		}
	}
	return findings, nil
}
