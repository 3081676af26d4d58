// Package badinput holds tests of the program on directories that are not as they should be: damaged, torn, of another version, of
// another program, not writable. Each gives one clear sentence, a status that says what kind of trouble it is, and leaves what is on
// the disk as it was.
package badinput
