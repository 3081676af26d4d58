// Package proc lets SQL run the verbs of package op. Each verb that works on a database is a stored procedure under two names, one
// of which speaks as Dolt does:
//
//	CALL dolt_commit('-am', 'load January')
//	CALL stemma_commit('-am', 'load January')
//
// The arguments are the words of a command line. A verb runs outside of the session's SQL transaction, which is committed first, and
// on the session's branch; checking out moves the session, not the directory.
//
// The engine must know a procedure's columns before it runs. Those of the verbs whose answer clients read are in a table here; all
// other verbs answer with one column of the lines that a person would be shown.
package proc
