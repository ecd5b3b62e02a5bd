package schema_test

import (
	"fmt"

	"linktape/internal/schema"
)

func Example() {
	d := schema.Document{Title: "A car", Keys: []schema.Key{
		{Name: "colour", Kind: schema.Text, Words: []string{"red", "blue"}, Doc: "Of the body.", Required: true},
		{Name: "wait", Kind: schema.Duration, Default: "0s", Example: "5s", Doc: "Before it starts."},
	}}
	r := schema.NewReference(d)
	r.Section("The car", d.Keys)
	fmt.Print(r)
	fmt.Println(len(d.JSON()) > 0)
	// Output:
	// ## The car
	//
	// | key | value | without it | |
	// |---|---|---|---|
	// | `colour` | `red`, `blue` | an error | Of the body. |
	// | `wait` | a duration, such as `5s` | 0s | Before it starts. |
	// true
}
