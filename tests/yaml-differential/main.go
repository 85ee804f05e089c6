// Command yaml-oracle reads YAML streams with sigs.k8s.io/yaml, as kubectl does, and says what they hold.
//
// Standard input is a JSON array of streams, each in base64. Standard output is a JSON array with one
// entry for each: the documents that are not null, or the first error; once as kubectl reads them
// (a later duplicate key wins) and once strictly (a duplicate key is an error). Numbers become the text
// "n" and their JSON, texts get an "s" in front, so that no JSON reader on the way can round a number.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

type reading struct {
	Documents []any  `json:"documents"`
	Error     string `json:"error"`
}

type answer struct {
	Lenient reading `json:"lenient"`
	Strict  reading `json:"strict"`
}

func main() {
	var streams [][]byte
	if err := json.NewDecoder(os.Stdin).Decode(&streams); err != nil {
		fmt.Fprintln(os.Stderr, "yaml-oracle: standard input:", err)
		os.Exit(2)
	}
	answers := make([]answer, 0, len(streams))
	for _, stream := range streams {
		answers = append(answers, answer{
			Lenient: read(stream, yaml.YAMLToJSON),
			Strict:  read(stream, yaml.YAMLToJSONStrict),
		})
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, "yaml-oracle: standard output:", err)
		os.Exit(2)
	}
}

func read(stream []byte, toJSON func([]byte) ([]byte, error)) (result reading) {
	result.Documents = []any{}
	defer func() {
		if crash := recover(); crash != nil {
			result.Error = fmt.Sprint("crash: ", crash)
		}
	}()
	for _, document := range split(stream) {
		text, err := toJSON(document)
		if err != nil {
			result.Error = err.Error()
			return result
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			result.Error = err.Error()
			return result
		}
		if value != nil {
			result.Documents = append(result.Documents, marked(value))
		}
	}
	return result
}

// split does what YAMLReader of k8s.io/apimachinery/pkg/util/yaml does: a line of "---", with nothing
// but blanks or a comment after it, starts a new document.
func split(stream []byte) [][]byte {
	var documents [][]byte
	var current bytes.Buffer
	lines := bufio.NewReader(bytes.NewReader(stream))
	for {
		line, err := lines.ReadBytes('\n')
		if rest, found := bytes.CutPrefix(line, []byte("---")); found {
			rest := strings.TrimSpace(string(rest))
			if (rest == "" || rest[0] == '#') && current.Len() != 0 {
				documents = append(documents, bytes.Clone(current.Bytes()))
				current.Reset()
			}
		}
		current.Write(line)
		if errors.Is(err, io.EOF) {
			return append(documents, current.Bytes())
		}
	}
}

func marked(value any) any {
	switch value := value.(type) {
	case json.Number:
		return "n" + value.String()
	case string:
		return "s" + value
	case []any:
		for i := range value {
			value[i] = marked(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = marked(value[key])
		}
	}
	return value
}
