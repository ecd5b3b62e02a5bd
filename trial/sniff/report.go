package sniff

// Report says what a capture has caught.
type Report struct {
	Packets int64 `json:"packets"`
	Bytes   int64 `json:"bytes"` // of frames
	Drops   int64 `json:"drops"` // that the kernel had no room for
}
