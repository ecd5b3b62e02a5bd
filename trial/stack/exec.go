package stack

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/template"
)

// Exec runs any two commands, each by the shell. They are templates
// (text/template) over [ExecData], and find the same in their environment:
//
//	LINKTAPE_SIDE       sender or receiver
//	LINKTAPE_LINKS      the links' names, separated by commas
//	LINKTAPE_<LINK>_SND the sender's address on a link
//	LINKTAPE_<LINK>_RCV the receiver's
//	LINKTAPE_<LINK>_PORT the receiver's port
//	LINKTAPE_TARGETS    ADDRESS:PORT of every link's receiver, separated by commas
//	LINKTAPE_INPUT      ADDRESS:PORT where the sender takes the stream
//	LINKTAPE_OUTPUT     ADDRESS:PORT where the receiver puts it
//	LINKTAPE_BUFFER_MS  the recovery buffer
//	LINKTAPE_RATE       of the stream, bit/s
//
// A link's name is in capitals there, with _ for -.
type Exec struct {
	pair Pair
	used map[string]string
}

// ExecData is what a template knows.
type ExecData struct {
	Links    []Link
	Targets  []string // ADDRESS:PORT of every link's receiver
	In, Out  string   // ADDRESS:PORT
	InAddr   string
	InPort   int
	OutAddr  string
	OutPort  int
	BufferMs int64
	Rate     int64 // bit/s
}

func newExec(o *options, pair Pair) *Exec {
	for _, c := range []struct{ flag, text string }{{"sender", pair.Sender}, {"receiver", pair.Receiver}} {
		if strings.TrimSpace(c.text) == "" {
			o.faults = append(o.faults, fmt.Sprintf("stack exec needs the %s's command: --%s 'COMMAND …'", c.flag, c.flag))
			continue
		}
		if err := tryTemplate(c.text); err != nil {
			o.faults = append(o.faults, fmt.Sprintf("the %s's command: %v", c.flag, err))
		}
	}
	return &Exec{pair, o.used}
}

// tryTemplate finds faults of a template before there are links.
func tryTemplate(text string) error {
	t, err := parseTemplate(text)
	if err != nil {
		return err
	}
	s := &Setup{Links: make([]Link, 1)}
	if err := t.Execute(io.Discard, s.execData()); err != nil {
		// Of a second link, for example, nothing can be known yet.
		if x := (template.ExecError{}); errors.As(err, &x) && strings.Contains(err.Error(), "index out of range") {
			return nil
		}
		return err
	}
	return nil
}

func parseTemplate(text string) (*template.Template, error) {
	return template.New("command").Option("missingkey=error").Funcs(template.FuncMap{"join": strings.Join}).Parse(text)
}

func (s *Setup) execData() *ExecData {
	d := &ExecData{
		Links: s.Links, In: s.In.String(), Out: s.Out.String(), InAddr: s.In.Addr().String(), InPort: int(s.In.Port()),
		OutAddr: s.Out.Addr().String(), OutPort: int(s.Out.Port()), BufferMs: s.Buffer.Milliseconds(), Rate: int64(s.Rate),
	}
	for i := range s.Links {
		d.Targets = append(d.Targets, s.Links[i].Target())
	}
	return d
}

// Name is exec.
func (e *Exec) Name() string { return "exec" }

// Settings are the commands.
func (e *Exec) Settings() map[string]string {
	return map[string]string{"sender": e.pair.Sender, "receiver": e.pair.Receiver}
}

// Needs is the shell.
func (e *Exec) Needs() []Need { return []Need{{Program: "sh", Package: "dash"}} }

// Programs is empty: nothing is known of the commands.
func (e *Exec) Programs() map[string][]string { return nil }

// Ports are as many as the stacks that are known take.
func (e *Exec) Ports(first int) []int { return []int{first, first + 1} }

// Commands fills the templates in.
func (e *Exec) Commands(s *Setup) (sender, receiver Command, err error) {
	for _, c := range []struct {
		side Side
		text string
		to   *Command
	}{{Sender, e.pair.Sender, &sender}, {Receiver, e.pair.Receiver, &receiver}} {
		t, err := parseTemplate(c.text)
		if err != nil {
			return sender, receiver, fmt.Errorf("the %s's command: %w", c.side, err)
		}
		var b strings.Builder
		if err := t.Execute(&b, s.execData()); err != nil {
			return sender, receiver, fmt.Errorf("the %s's command: %w", c.side, err)
		}
		*c.to = Command{Argv: []string{"sh", "-c", b.String()}, Env: s.environment(c.side)}
	}
	return sender, receiver, nil
}

// environment is what a command finds in its own.
func (s *Setup) environment(side Side) []string {
	d := s.execData()
	var names []string
	for _, l := range s.Links {
		names = append(names, l.Name)
	}
	env := []string{
		"LINKTAPE_SIDE=" + string(side), "LINKTAPE_LINKS=" + strings.Join(names, ","), "LINKTAPE_TARGETS=" + strings.Join(d.Targets, ","),
		"LINKTAPE_INPUT=" + d.In, "LINKTAPE_OUTPUT=" + d.Out,
		"LINKTAPE_BUFFER_MS=" + strconv.FormatInt(d.BufferMs, 10), "LINKTAPE_RATE=" + strconv.FormatInt(d.Rate, 10),
	}
	for _, l := range s.Links {
		prefix := "LINKTAPE_" + strings.ReplaceAll(strings.ToUpper(l.Name), "-", "_")
		env = append(env, prefix+"_SND="+l.Sender.String(), prefix+"_RCV="+l.Receiver.String(), prefix+"_PORT="+strconv.Itoa(l.Port))
	}
	return env
}

// Warnings: nothing is known of the commands.
func (e *Exec) Warnings(*Setup) []string { return nil }

// Parser reads nothing: see [LineParser].
func (e *Exec) Parser(_ *Setup, side Side) Parser { return &LineParser{side} }

// LineParser reads lines of standard output that a command of exec may print:
//
//	linktape LINK NAME VALUE
//
// with - for the link where the figure is the flow's.
type LineParser struct{ side Side }

// Line reads a line.
func (p *LineParser) Line(stream Stream, line []byte, emit func(Sample)) {
	f := strings.Fields(string(line[:min(len(line), 1024)]))
	if stream != Stdout || len(f) != 4 || f[0] != "linktape" {
		return
	}
	v, err := strconv.ParseFloat(f[3], 64)
	if err != nil || v != v {
		return
	}
	if f[1] == "-" {
		f[1] = ""
	}
	emit(Sample{p.side, f[1], f[2], v})
}
