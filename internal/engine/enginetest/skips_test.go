package enginetest

// skipped are queries, in lower case, that are known not to work, with the reason.
var skipped = map[string]string{}
