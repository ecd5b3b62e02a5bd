// Package suggest finds what was perhaps meant by a misspelt name.
package suggest
