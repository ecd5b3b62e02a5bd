package report

import (
	"html/template"
	"io"

	"linktape/internal/plot"
	"linktape/trial/metrics"
)

// Overview draws a trial in few pictures, with a row for each link: rates, delays,
// losses, and the output. Of a result without series there are none.
func Overview(r *metrics.Result) (out []template.HTML, err error) {
	if len(r.Series.Links) == 0 || len(r.Series.Output.Output) == 0 {
		return nil, nil
	}
	var rates, delays, losses []plot.Row
	for i := range r.Series.Links {
		s := &r.Series.Links[i]
		spans := spansOf(r, s.Link)
		rates = append(rates, plot.Row{Name: s.Link, Spans: spans, Lines: rateLines(s)})
		delays = append(delays, plot.Row{Name: s.Link, Spans: spans, Lines: delayLines(s)})
		losses = append(losses, plot.Row{Name: s.Link, Spans: spans, Lines: lossLines(s)})
	}
	for _, x := range []struct {
		unit string
		rows []plot.Row
	}{
		{"Mbit/s", rates}, {"ms", delays}, {"%", losses},
		{"Mbit/s", []plot.Row{{Name: "output", Spans: spansOf(r, ""), Lines: outputLines(&r.Series.Output)}}},
		{"ms", []plot.Row{{Name: "gaps of the output", Spans: spansOf(r, ""), Lines: gapLines(&r.Series.Output)}}},
	} {
		svg, err := plot.Inline(func(w io.Writer) error {
			return plot.Rows(w, "svg", plot.RowsOptions{Unit: x.unit, Span: "nothing passes"}, r.Bin, x.rows)
		})
		if err != nil {
			return nil, err
		}
		out = append(out, svg)
	}
	return out, nil
}

// spansOf are the events of a link, or with "" of any.
func spansOf(r *metrics.Result, link string) (out []plot.Span) {
	for _, e := range r.Events {
		if link != "" && e.Link != link {
			continue
		}
		to := r.Duration
		if e.Restore != nil {
			to = *e.Restore
		}
		out = append(out, plot.Span{From: e.Failure, To: to})
	}
	return out
}

func rateLines(s *metrics.LinkSeries) []plot.Line {
	return []plot.Line{
		{Label: "capacity", Values: scaled(s.Capacity, 1e-6), Area: true},
		{Label: "wire throughput", Values: scaled(s.Throughput, 1e-6)},
		{Label: "effective throughput", Values: scaled(s.Effective, 1e-6)},
	}
}

func delayLines(s *metrics.LinkSeries) []plot.Line {
	return []plot.Line{{Label: "RTT", Values: scaled(s.RTT, 1)}, {Label: "queue delay, highest of each bin", Values: scaled(s.QueueDelay, 1)}}
}

func lossLines(s *metrics.LinkSeries) []plot.Line {
	return []plot.Line{{Label: "loss", Values: scaled(s.Loss, 100)}}
}

func outputLines(s *metrics.OutputSeries) []plot.Line {
	return []plot.Line{{Label: "source", Values: scaled(s.Source, 1e-6), Area: true}, {Label: "output", Values: scaled(s.Output, 1e-6)}}
}

func gapLines(s *metrics.OutputSeries) []plot.Line {
	return []plot.Line{{Label: "longest time without a datagram", Values: scaled(s.Gap, 1)}}
}
