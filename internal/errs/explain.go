package errs

// Explain tells what an error of the class means, and what to do about it, in a sentence or two each: the page of `stemma help <code>`.
func (c Code) Explain() (meaning, advice string) {
	if int(c) < len(pages) {
		return pages[c][0], pages[c][1]
	}
	return "", ""
}

var pages = [...][2]string{
	Internal: {
		"Something happened that should not: a defect of the program, or a failure of the system that it does not know.",
		"Try again. If it comes back, report it with what you did and the whole message; fsck tells whether the database is sound.",
	},
	Invalid: {
		"The request makes no sense: an unknown flag, a value of the wrong form or type, SQL that cannot be understood, a file or a frame that does not fit the table.",
		"The message says what is wrong, in which column and row where that applies. Nothing was changed.",
	},
	NotFound: {
		"A table, branch, tag, commit, database or file that was named does not exist, or does not exist at that ref.",
		"Look at the nearest names in the message; 'ls <ref>', 'branch' and 'tag' list what there is.",
	},
	Exists: {
		"The name is taken: a table, branch, tag, database or file of that name is there.",
		"Take another name, or say that it may be replaced: --force, or mode replace, append or merge of a write.",
	},
	Conflict: {
		"Somebody else changed the same rows or schema meanwhile, or two branches changed the same cell differently.",
		"After a concurrent change try again: nothing of yours was applied. After a merge 'conflicts cat' shows the rows and 'conflicts resolve' settles them.",
	},
	DuplicateKey: {
		"A row with the same primary or unique key is there already, or is twice in what was written.",
		"Remove the duplicate, or use REPLACE, ON DUPLICATE KEY UPDATE, or the modes upsert and merge of a write.",
	},
	Constraint: {
		"A row violates a constraint of the schema: NOT NULL, CHECK, or a foreign key.",
		"Correct the row that the message names, or the constraint. 'constraints verify' lists rows that violate one after a merge.",
	},
	Unsupported: {
		"The request is understood, but this program does not offer it.",
		"The message says what to use instead where there is something.",
	},
	ReadOnly: {
		"The ref, the session or the directory cannot be written: a commit or a tag is read, the server was started with --readonly, or the session is read-only.",
		"Write to a branch. A read at a ref never changes anything.",
	},
	Denied: {
		"The user's rights, or the operating system's, forbid it.",
		"Look at the user's grants, the password, and who owns the directory.",
	},
	Locked: {
		"Another process owns the database's directory and does not answer.",
		"Try again; if that process hangs, end it. The next one takes the directory over by itself.",
	},
	Corrupt: {
		"Stored bytes are not what they were when they were written: a damaged disk, or a file that was changed or cut by something else.",
		"Run fsck, which says what is damaged, and take the database from a backup or a clone. Nothing is repaired silently. Where there is none and the journal is damaged, fsck --revive-journal-with-data-loss goes back to the state before the damage.",
	},
	TooNew: {
		"The database, the server or the client is of a newer version than this program understands.",
		"Install the newer version here, or the same version on both sides.",
	},
	NoSpace: {
		"The disk or a quota is full.",
		"Make room and try again: what was being written has left nothing behind.",
	},
	Canceled: {
		"The request was given up before it was done: Ctrl-C, a closed connection, a time limit.",
		"Nothing of it was applied.",
	},
	Unavailable: {
		"A server, a remote or the owner of a directory cannot be reached, or went away before it answered.",
		"Is it running, and are host and port right? A change whose answer is lost may have been made: 'log' and 'status' tell.",
	},
	NothingToDo: {
		"There is nothing to commit, or all is up to date.",
		"'status' shows what has changed and what is staged; --allow-empty commits nevertheless.",
	},
}
