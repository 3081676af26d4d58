// Package training is what a model is trained on: the configuration that names tables at revisions, the lock file that says which rows
// these were, and how far rows have drifted since.
//
//	stemma.yaml  --ParseConfig-->  Config: splits of items, a policy
//	                                  | resolved by the verbs of `stemma data`
//	stemma.lock  <--Lock.Encode--  Lock: of each item the commit and the hashes
//	two tables   --ProfileOf-->    Profile of each column  --Compare-->  Drift
//
// It reads no database but the views that it is given.
package training
