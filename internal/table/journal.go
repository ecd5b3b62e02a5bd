package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"reflect"
)

// A journal holds the rows that a growing table has no footer for yet:
//
//	magic, 8 bytes        "LTJRNL1\n"
//	columns, 4 bytes      CRC-32C of the columns' names and kinds
//	offset, 8 bytes       the table's bytes up to here are a file of their own
//	check, 4 bytes        CRC-32C of the 20 bytes before
//	blocks                length, 4 bytes; CRC-32C, 4 bytes; rows
//
// Numbers are little-endian. In a block an int64 is a zigzag varint, a float64
// its 8 bytes, a bool a byte, and a string its length as a varint and its bytes.
// A process that is killed leaves at most a block that is cut off.
const (
	journalMagic  = "LTJRNL1\n"
	journalHeader = 24
	blockHeader   = 8
	maxBlock      = 64 << 20 // bytes; a longer one is damage
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// columnsSum tells row types apart.
func columnsSum(t reflect.Type) uint32 {
	var b []byte
	for i := range t.NumField() {
		f := t.Field(i)
		b = fmt.Appendf(b, "%s %v\n", f.Tag.Get("parquet"), f.Type.Kind())
	}
	return checksum(b)
}

// appendJournalHeader begins a journal of rows that follow the first bytes of a
// table.
func appendJournalHeader(b []byte, t reflect.Type, offset int64) []byte {
	start := len(b)
	b = append(b, journalMagic...)
	b = binary.LittleEndian.AppendUint32(b, columnsSum(t))
	b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// appendRow encodes a row.
func appendRow(b []byte, row reflect.Value) []byte {
	for i := range row.NumField() {
		switch f := row.Field(i); f.Kind() {
		case reflect.Int64:
			b = binary.AppendVarint(b, f.Int())
		case reflect.Float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f.Float()))
		case reflect.Bool:
			v := byte(0)
			if f.Bool() {
				v = 1
			}
			b = append(b, v)
		case reflect.String:
			b = binary.AppendUvarint(b, uint64(f.Len()))
			b = append(b, f.String()...)
		}
	}
	return b
}

// appendBlock frames encoded rows.
func appendBlock(b, rows []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(rows)))
	b = binary.LittleEndian.AppendUint32(b, checksum(rows))
	return append(b, rows...)
}

var errJournal = errors.New("not a journal of this table")

// readJournal returns the rows of a journal, and how many bytes of the table
// come before them. A block that is cut off or damaged ends it, as what was
// written last before a crash may be.
func readJournal[T any](data []byte) (rows []T, offset int64, err error) {
	t := reflect.TypeFor[T]()
	if len(data) < journalHeader || !bytes.HasPrefix(data, []byte(journalMagic)) {
		return nil, 0, errJournal
	}
	le := binary.LittleEndian
	o := le.Uint64(data[12:])
	if le.Uint32(data[20:]) != checksum(data[:20]) || le.Uint32(data[8:]) != columnsSum(t) || o > math.MaxInt64 {
		return nil, 0, errJournal
	}
	data = data[journalHeader:]
	for len(data) >= blockHeader {
		n, sum := le.Uint32(data), le.Uint32(data[4:])
		if n == 0 || n > maxBlock || uint64(n) > uint64(len(data)-blockHeader) {
			break
		}
		block := data[blockHeader : blockHeader+n]
		if checksum(block) != sum {
			break
		}
		data = data[blockHeader+n:]
		for len(block) > 0 {
			var row T
			if block = readRow(block, reflect.ValueOf(&row).Elem()); block == nil {
				return rows, int64(o), nil
			}
			rows = append(rows, row)
		}
	}
	return rows, int64(o), nil
}

// readRow decodes a row and returns what follows it; nil where it is damaged.
func readRow(b []byte, row reflect.Value) []byte {
	for i := range row.NumField() {
		switch f := row.Field(i); f.Kind() {
		case reflect.Int64:
			v, n := binary.Varint(b)
			if n <= 0 {
				return nil
			}
			f.SetInt(v)
			b = b[n:]
		case reflect.Float64:
			if len(b) < 8 {
				return nil
			}
			f.SetFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)))
			b = b[8:]
		case reflect.Bool:
			if len(b) < 1 || b[0] > 1 {
				return nil
			}
			f.SetBool(b[0] == 1)
			b = b[1:]
		case reflect.String:
			v, n := binary.Uvarint(b)
			if n <= 0 || v > uint64(len(b)-n) {
				return nil
			}
			f.SetString(string(b[n : n+int(v)]))
			b = b[n+int(v):]
		}
	}
	return b
}
