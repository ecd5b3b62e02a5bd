package synth_test

import (
	"fmt"

	"linktape/synth"
)

func Example() {
	const scenario = `
scenario: two-steps
duration: 10s
links:
  att:
    queue: 200ms
    up:
      rate: {model: steps, steps: [{at: 0s, value: 6Mbit}, {at: 4s, value: 500kbit}]}
      delay: 35ms
    down:
      rate: 20Mbit
`
	sc, err := synth.Parse("two-steps.yaml", []byte(scenario), synth.Options{
		Set: []string{"links.att.up.delay=50ms"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	timeline, err := sc.Timeline()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range timeline.Steps {
		fmt.Println(s.At, s.LinkDir(), s.Rate, s.Delay)
	}

	_, err = synth.Parse("typo.yaml", []byte("scenario: typo\nduration: 10s\nlinks: {att: {up: {rat: 6Mbit}}}\n"), synth.Options{})
	fmt.Println(err)
	// Output:
	// 0s att.down 20Mbit 0s
	// 0s att.up 6Mbit 50ms
	// 4s att.up 500kbit 50ms
	// typo.yaml:3:19: key "rate" is missing: add rate: …
	//    2 | duration: 10s
	// >  3 | links: {att: {up: {rat: 6Mbit}}}
	//                          ^
	// typo.yaml:3:20: unknown key "rat": did you mean "rate"?
	//    2 | duration: 10s
	// >  3 | links: {att: {up: {rat: 6Mbit}}}
	//                           ^
}
