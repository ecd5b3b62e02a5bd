package convert

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrUnknownFormat says that a file's content does not tell its format.
var ErrUnknownFormat = errors.New("the content does not tell the format")

// A Candidate is what the content of a file says about one format.
type Candidate struct {
	Format string `json:"format"`
	Match  bool   `json:"match"`
	Why    string `json:"why"` // why it is, or is not, of this format
}

// Candidates says for each format, by name, why head, the beginning of a file,
// is or is not of it.
func Candidates(head []byte) []Candidate {
	var out []Candidate
	for _, im := range Importers() {
		why, err := im.Sniff(head)
		if err != nil {
			why = err.Error()
		}
		out = append(out, Candidate{im.Name(), err == nil, why})
	}
	return out
}

// Detect returns the one importer whose format head, the beginning of a file,
// unambiguously has; [ErrUnknownFormat] with the reasons otherwise.
func Detect(head []byte) (Importer, error) {
	var found []string
	var why []string
	for _, c := range Candidates(head) {
		if c.Match {
			found = append(found, c.Format)
			why = append(why, "perhaps "+c.Format)
		} else {
			why = append(why, fmt.Sprintf("not %s: %s", c.Format, c.Why))
		}
	}
	if len(found) == 1 {
		return FindImporter(found[0])
	}
	return nil, fmt.Errorf("%w (%s)", ErrUnknownFormat, strings.Join(why, "; "))
}

// sniffBytes is how much of a file Detect is shown.
const sniffBytes = 64 << 10

// Head returns the beginning of a file for [Detect] and [Candidates]: whole
// lines of it, or all that was read where there is no line end. What no text
// format holds is an error that says what to do.
func Head(r io.Reader, name string) ([]byte, error) {
	head, err := peekHead(bufio.NewReaderSize(r, sniffBytes), name)
	return bytes.Clone(head), err
}

func peekHead(br *bufio.Reader, name string) ([]byte, error) {
	head, err := br.Peek(sniffBytes)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if err := checkText(head); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err == nil { // the file goes on: leave out the last, cut line
		if i := bytes.LastIndexByte(head, '\n'); i >= 0 {
			head = head[:i+1]
		}
	}
	return head, nil
}

// sniffHeader tells a CSV file by its header line.
func sniffHeader(head []byte, want string, what string) (string, error) {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if string(line) != want {
		return "", fmt.Errorf("line 1 is not the header of %s", what)
	}
	return "line 1 is the header of " + what, nil
}
