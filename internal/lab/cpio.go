package lab

import (
	"fmt"
	"io"
	"io/fs"
)

// cpioWriter writes an archive that the kernel unpacks as its first file
// system: the "newc" format of Documentation/driver-api/early-userspace/
// buffer-format.rst. Every entry belongs to root and dates from 1970, so that
// the same files give the same bytes. Directories come before what is in them.
type cpioWriter struct {
	w     io.Writer
	at    int64
	inode uint32
	err   error // the first one
}

// Types of a file in its mode (stat(2)).
const (
	cpioDir     = 0o040000
	cpioRegular = 0o100000
	cpioLink    = 0o120000
)

func (c *cpioWriter) directory(name string, perm fs.FileMode) { c.entry(name, cpioDir|perm, 0, nil) }

func (c *cpioWriter) link(name, target string) {
	c.entry(name, cpioLink|0o777, int64(len(target)), []byte(target))
}

// file writes a regular file of exactly that many bytes.
func (c *cpioWriter) file(name string, perm fs.FileMode, size int64, content io.Reader) {
	c.entry(name, cpioRegular|perm, size, nil)
	if c.err != nil {
		return
	}
	n, err := io.CopyN(c.w, content, size)
	c.at += n
	if err != nil {
		c.err = fmt.Errorf("pack %s: %d of %d bytes: %w", name, n, size, err)
	}
	c.pad()
}

// Close writes the end of the archive. It does not close the writer below.
func (c *cpioWriter) Close() error {
	c.inode = 0xffffffff // the trailer's is 0
	c.entry("TRAILER!!!", 0, 0, nil)
	return c.err
}

// entry writes a header and the content that is given.
func (c *cpioWriter) entry(name string, mode fs.FileMode, size int64, content []byte) {
	if size > 0xffffffff && c.err == nil {
		c.err = fmt.Errorf("pack %s: %d bytes are too many for a cpio archive", name, size)
	}
	c.inode++
	links := 1
	if mode&cpioDir != 0 && mode&cpioRegular == 0 {
		links = 2
	}
	c.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		c.inode, uint32(mode), 0, 0, links, 0, uint32(size), 0, 0, 0, 0, len(name)+1, 0, name))
	c.pad()
	if content != nil {
		c.write(content)
		c.pad()
	}
}

// pad fills up to a multiple of four bytes.
func (c *cpioWriter) pad() { c.write(make([]byte, -c.at&3)) }

func (c *cpioWriter) write(b []byte) {
	if c.err != nil {
		return
	}
	n, err := c.w.Write(b)
	c.at += int64(n)
	c.err = err
}
