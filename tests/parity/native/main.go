// Command native renders Helm charts and Kustomize overlays with the tools' own libraries, outside any sandbox.
//
// It reads requests as JSON lines and answers each with one JSON line, in order, until its input ends. The parity
// suite holds Weir's renders against these answers, and the benchmark holds Weir's time against `micros`.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// lineLimit bounds one request; the largest carries a few inline values.
const lineLimit = 16 << 20

// request says what to render.
type request struct {
	// Tool is helm or kustomize.
	Tool string `json:"tool"`
	// Dir is the absolute path of the chart or the overlay.
	Dir string `json:"dir"`
	// Config is for Helm alone.
	Config helmConfig `json:"config"`
}

// answer is one render or why there is none.
type answer struct {
	// Micros is the time spent in the tool's library, loading included.
	Micros int64 `json:"micros"`
	// Output is a stream of YAML documents in the tool's own order, without CRDs and hooks of a chart.
	Output string `json:"output"`
	// CRDs are the files of the crds/ folders, in the order in which Helm prints them.
	CRDs []string `json:"crds,omitempty"`
	// Hooks are the chart's hooks in the order in which Helm prints them.
	Hooks []hook `json:"hooks,omitempty"`
	// Error is why nothing was rendered.
	Error string `json:"error,omitempty"`
}

func main() {
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	// Whatever a library prints must not get between the answers.
	os.Stdout = os.Stderr
	if err := serve(os.Stdin, out); err != nil {
		fmt.Fprintln(os.Stderr, "native:", err)
		os.Exit(1)
	}
}

func serve(in io.Reader, out *json.Encoder) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, lineLimit)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return fmt.Errorf("a request is no JSON: %w", err)
		}
		if err := out.Encode(render(asked)); err != nil {
			return fmt.Errorf("writing an answer: %w", err)
		}
	}
	return lines.Err()
}

func render(asked request) (done answer) {
	start := time.Now()
	err := func() (err error) {
		defer func() {
			if panicked := recover(); panicked != nil {
				err = fmt.Errorf("panic: %v", panicked)
			}
		}()
		switch asked.Tool {
		case "helm":
			done, err = helm(asked.Dir, asked.Config)
		case "kustomize":
			done.Output, err = kustomize(asked.Dir)
		default:
			err = errors.New("tool: helm or kustomize expected, found " + asked.Tool)
		}
		return err
	}()
	if err != nil {
		done = answer{Error: err.Error()}
	}
	done.Micros = time.Since(start).Microseconds()
	return done
}
