package convert_test

import (
	"fmt"
	"strings"

	"linktape/trace"
	"linktape/trace/convert"
)

func Example() {
	// Three opportunities of 1500 bytes in the ms that end at 1, 2 and 4 ms.
	up, err := convert.Import("mahimahi", strings.NewReader("1\n2\n4\n"), "att.up", convert.ImportOptions{Step: 1e6})
	if err != nil {
		fmt.Println(err)
		return
	}
	att := trace.LinkDir{Link: "att", Dir: trace.Up}
	meta, steps, err := convert.Merge([]convert.Input{{LinkDir: att, Result: up}}, convert.MergeOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(meta.Generator, meta.Duration, up.Lines, up.Bytes)
	for s := range steps {
		fmt.Println(s.At, s.LinkDir(), s.Rate)
	}

	_, err = convert.Import("mahimahi", strings.NewReader("1\n\n0\n"), "att.up", convert.ImportOptions{})
	fmt.Println(err)
	// Output:
	// import 1 4ms 3 4500
	// 0s att.up 12Mbit
	// 2ms att.up 0bit
	// 3ms att.up 12Mbit
	// att.up:2: the line is empty: remove it
	// att.up:3: timestamp 0 ms after 1 ms: timestamps must not decrease; sort the file (sort -n)
}
