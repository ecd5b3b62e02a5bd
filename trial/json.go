package trial

import (
	"bytes"
	"encoding/json"
	"os"
)

// writeJSON puts a file in place at once. Command lines are written as they are read.
func writeJSON(file string, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	const fresh = ".new"
	if err := os.WriteFile(file+fresh, b.Bytes(), 0o666); err != nil {
		return err
	}
	return os.Rename(file+fresh, file)
}
