package cli

import "testing"

// TestBranchColumns: only a query of all columns of a table of branches, and of nothing else, is changed.
func TestBranchColumns(t *testing.T) {
	const old = "name, hash, latest_committer, latest_committer_email, latest_commit_date, latest_commit_message"
	for _, c := range []struct{ query, want string }{
		{"select * from dolt_branches", "select " + old + ", remote, branch from dolt_branches"},
		{"SELECT *\nFROM `dolt_branches`", "SELECT " + old + ", remote, branch\nFROM `dolt_branches`"},
		{
			"select * from dolt_branches where name = (select active_branch())",
			"select " + old + ", remote, branch from dolt_branches where name = (select active_branch())",
		},
		{"select * from dolt_remote_branches limit 1", "select " + old + " from dolt_remote_branches limit 1"},
		{"select name from dolt_branches", "select name from dolt_branches"},
		{"select * from dolt_branches b", "select * from dolt_branches b"},
		{"select * from dolt_branches, t where true", "select * from dolt_branches, t where true"},
		{"select * from dolt_branches join t", "select * from dolt_branches join t"},
		{"select * from dolt_branches_of_mine", "select * from dolt_branches_of_mine"},
		{"select count(*) from dolt_branches", "select count(*) from dolt_branches"},
	} {
		if got := branchColumns(c.query); got != c.want {
			t.Errorf("branchColumns(%q) = %q, want %q", c.query, got, c.want)
		}
	}
}
