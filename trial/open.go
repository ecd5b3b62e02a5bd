package trial

// Parse reads a trial file. dir is where files are that it names. Faults are a
// conf.Error that names them all.
func Parse(name string, data []byte, dir string) (*File, error) { return parse(name, data, dir) }
