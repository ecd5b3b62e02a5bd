package conf_test

import (
	"fmt"

	"linktape/internal/conf"
	"linktape/trace"
)

func Example() {
	// link decodes a mapping with a name and an optional rate.
	link := func(doc *conf.Doc) (name string, rate trace.BitRate, err error) {
		m := doc.Root().Map()
		name = m.Require("name").Name()
		if n, ok := m.Get("rate"); ok {
			rate = n.Rate()
		}
		m.Done() // reports unknown keys
		return name, rate, doc.Err()
	}

	doc, err := conf.Parse("link.yaml", []byte("name: att\nrate: 6Mbit # uplink\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := doc.Set("rate", "8Mbit"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(link(doc))
	fmt.Print(doc.Text())

	doc, err = conf.Parse("bad.yaml", []byte("name: att\nrat: 6Mbit\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _, err = link(doc)
	fmt.Println(err)
	// Output:
	// att 8Mbit <nil>
	// name: att
	// rate: 8Mbit # uplink
	// bad.yaml:2:1: unknown key "rat": did you mean "rate"?
	//    1 | name: att
	// >  2 | rat: 6Mbit
	//        ^
}
