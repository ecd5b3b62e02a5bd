// This file makes the compiler accept functions without a body: those of the
// runtime that pin.go names.
