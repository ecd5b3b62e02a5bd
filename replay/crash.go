package replay

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// crash passes a panic of a replay's goroutines on to the caller's, whose deferred
// calls put things right: a live view gives the terminal back.
type crash struct {
	halt func() // makes the caller come to pass

	once sync.Once
	text string
}

// guard makes a function whose panics are kept for pass.
func (c *crash) guard(f func()) func() {
	return func() {
		defer func() {
			if v := recover(); v != nil {
				c.once.Do(func() { c.text = fmt.Sprintf("%v\n\n%s", v, debug.Stack()) })
				c.halt()
			}
		}()
		f()
	}
}

// pass panics where a function has; all have returned.
func (c *crash) pass() {
	if c.text != "" {
		panic(c.text)
	}
}
