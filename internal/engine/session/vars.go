package session

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
)

// What the names of a database's variables end with; the beginning is the database's name.
const (
	suffixHead          = "_head"
	suffixWorking       = "_working"
	suffixStaged        = "_staged"
	suffixHeadRef       = "_head_ref"
	suffixDefaultBranch = "_default_branch"
)

// Variables of all databases.
const (
	// varBranchRef is the branch, with or without refs/heads/, that new sessions begin on in the databases that have it. It is older
	// than the variables of each database.
	varBranchRef = "dolt_sql_server_branch_ref"
	// varBranchDatabases makes branches show as databases.
	varBranchDatabases = "dolt_show_branch_databases"
	// varOverrideSchema is a revision, with whose schemas the tables of commits are shown.
	varOverrideSchema = "dolt_override_schema"
	// varSystemTables makes SHOW TABLES list the system tables too.
	varSystemTables = "dolt_show_system_tables"
	// varTransactionCommit makes every transaction of SQL that changes something a commit, with the message varTransactionMessage or
	// transactionMessage.
	varTransactionCommit  = "dolt_transaction_commit"
	varTransactionMessage = "dolt_transaction_commit_message"
	// Who the commits of the session are by, and when, where that is not to be what it is otherwise.
	varAuthorName     = "dolt_author_name"
	varAuthorEmail    = "dolt_author_email"
	varAuthorDate     = "dolt_author_date"
	varCommitterName  = "dolt_committer_name"
	varCommitterEmail = "dolt_committer_email"
	varCommitterDate  = "dolt_committer_date"
)

// The run of a pipeline that the session works for, and what in the run it does: see package lineage. A run that is not known is made.
const (
	varRun        = "stemma_run"
	varRunNode    = "stemma_run_node"
	varRunAttempt = "stemma_run_attempt"
	varRunAlias   = "stemma_run_alias"
)

// transactionMessage is the message of commits that varTransactionCommit asks for.
const transactionMessage = "Transaction commit"

// RegisterCommonVariables makes the variables that belong to no database known to the engine.
func RegisterCommonVariables() {
	flag := func(name string) sql.SystemVariable {
		return &sql.MysqlSystemVariable{
			Name: name, Scope: sql.GetMysqlScope(sql.SystemVariableScope_Both), Dynamic: true, Default: int8(0), Type: types.NewSystemBoolType(name),
		}
	}
	text := func(name string, scope sql.MysqlSVScopeType) sql.SystemVariable {
		return &sql.MysqlSystemVariable{Name: name, Scope: sql.GetMysqlScope(scope), Dynamic: true, Default: "", Type: types.NewSystemStringType(name)}
	}
	sql.SystemVariables.AddSystemVariables([]sql.SystemVariable{
		text(varBranchRef, sql.SystemVariableScope_Both),
		text(varOverrideSchema, sql.SystemVariableScope_Both),
		flag(varBranchDatabases),
		flag(varSystemTables),
		flag(varTransactionCommit),
		text(varTransactionMessage, sql.SystemVariableScope_Both),
		text(varAuthorName, sql.SystemVariableScope_Session),
		text(varAuthorEmail, sql.SystemVariableScope_Session),
		text(varAuthorDate, sql.SystemVariableScope_Session),
		text(varCommitterName, sql.SystemVariableScope_Session),
		text(varCommitterEmail, sql.SystemVariableScope_Session),
		text(varCommitterDate, sql.SystemVariableScope_Session),
		text(varRun, sql.SystemVariableScope_Session),
		text(varRunNode, sql.SystemVariableScope_Session),
		text(varRunAttempt, sql.SystemVariableScope_Session),
		text(varRunAlias, sql.SystemVariableScope_Session),
	})
}

// ShowsBranches tells whether branches are shown as databases in the session.
func (s *Session) ShowsBranches(ctx *sql.Context) bool {
	return IsOn(ctx, varBranchDatabases)
}

// ShowsSystemTables tells whether system tables are shown among the tables in the session.
func (s *Session) ShowsSystemTables(ctx *sql.Context) bool { return IsOn(ctx, varSystemTables) }

// OverrideSchema is the revision with whose schemas the tables of commits are shown; "" for their own.
func (s *Session) OverrideSchema(ctx *sql.Context) string {
	return s.text(ctx, varOverrideSchema)
}

// refPrefix begins the names of branches in the variables.
const refPrefix = "refs/heads/"

// RegisterVariables makes the variables of a database known to the engine, whose list of variables is one for the whole process:
// @@<name>_head, @@<name>_working, @@<name>_staged (hashes of the commit, the working and the staged set), @@<name>_head_ref (the
// session's branch, which setting it switches) and @@<name>_default_branch (of new sessions).
func RegisterVariables(name string) {
	names := []string{name}
	if u := strings.ReplaceAll(name, "-", "_"); u != name {
		names = append(names, u)
	}
	var vars []sql.SystemVariable
	for _, n := range names {
		if _, _, ok := sql.SystemVariables.GetGlobal(n + suffixHead); ok {
			continue
		}
		for _, suffix := range []string{suffixHead, suffixHeadRef, suffixWorking, suffixStaged, suffixDefaultBranch} {
			scope := sql.SystemVariableScope_Session
			if suffix == suffixDefaultBranch {
				scope = sql.SystemVariableScope_Both
			}
			vars = append(vars, &sql.MysqlSystemVariable{
				Name: n + suffix, Scope: sql.GetMysqlScope(scope), Dynamic: true, Default: "",
				Type: types.NewSystemStringType(n + suffix),
			})
		}
	}
	sql.SystemVariables.AddSystemVariables(vars)
}

// versionVariable takes the name of a variable apart; ok is false when it is not one of a database.
func (s *Session) versionVariable(name string) (base, suffix string, ok bool) {
	for _, x := range []string{suffixHeadRef, suffixHead, suffixWorking, suffixStaged} {
		if len(name) > len(x) && strings.EqualFold(name[len(name)-len(x):], x) {
			_, base, ok = s.opt.Databases.Lookup(name[:len(name)-len(x)])
			return base, x, ok
		}
	}
	return "", "", false
}

// GetSessionVariable computes the variables of databases.
func (s *Session) GetSessionVariable(ctx *sql.Context, name string) (any, error) {
	base, suffix, ok := s.versionVariable(name)
	if !ok {
		return s.BaseSession.GetSessionVariable(ctx, name)
	}
	h, err := s.Handle(ctx, base)
	if err != nil {
		return nil, err
	}
	switch {
	case suffix == suffixHeadRef:
		if h.branch == "" {
			return "", nil
		}
		return refPrefix + h.branch, nil
	case suffix == suffixHead || h.branch == "":
		id, err := h.Head(ctx)
		if err != nil {
			return nil, Error(err)
		}
		return id.String(), nil
	}
	w, err := h.repo.Fold(ctx, h.branch)
	if err != nil {
		return nil, Error(err)
	}
	if suffix == suffixStaged {
		return w.Staged.Hash().String(), nil
	}
	return w.Working.Hash().String(), nil
}

// isAt tells whether a branch is at a commit, without uncommitted changes: then it is the branch that is meant by the commit.
func isAt(ctx *sql.Context, r *repo.Repo, branch string, id history.CommitID) (bool, error) {
	if tip, ok := r.BranchHead(branch); !ok || tip != id || r.ReadOnly() {
		return false, nil
	}
	w, err := r.Fold(ctx, branch)
	if err != nil {
		return false, err
	}
	c, err := history.GetCommit(ctx, r.Store(), id)
	return err == nil && w.Head == id && w.Working.Tree() == c.Root && w.Staged.Tree() == c.Root, err
}

// SetSessionVariable switches branches when the variable of a database's head is set.
func (s *Session) SetSessionVariable(ctx *sql.Context, name string, value any) error {
	base, suffix, ok := s.versionVariable(name)
	if !ok {
		if t, isText := value.(string); isText && t != "" && (strings.EqualFold(name, varAuthorDate) || strings.EqualFold(name, varCommitterDate)) {
			if _, err := op.ParseTime(t); err != nil {
				return Error(errs.New(errs.Invalid, "set @@%s: %w", strings.ToLower(name), err))
			}
		}
		if err := s.BaseSession.SetSessionVariable(ctx, name, value); err != nil {
			return err
		}
		return s.setRun(ctx, name, value)
	}
	text, isText := value.(string)
	if !isText {
		return errs.New(errs.Invalid, "set @@%s: the value must be a string", name)
	}
	switch suffix {
	case suffixHeadRef:
		return s.SwitchBranch(ctx, base, strings.TrimPrefix(text, refPrefix))
	case suffixHead:
		h, err := s.Handle(ctx, base)
		if err != nil {
			return err
		}
		id, err := h.Resolve(ctx, text)
		if err != nil {
			return Error(err)
		}
		now := s.head(h.repo, h.base).branch
		if at, err := isAt(ctx, h.repo, now, id); err != nil {
			return Error(err)
		} else if at {
			return s.SwitchBranch(ctx, base, now)
		}
		return s.detach(ctx, base, id)
	}
	return sql.ErrSystemVariableReadOnly.New(name)
}
