package proc_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/vfs"
)

// Files come and go by CALL, those of the directory secure_file_priv only.
func TestLoadAndExport(t *testing.T) {
	c := connect(t)
	setFiles := func(dir string) {
		t.Helper()
		if err := sql.SystemVariables.AssignValues(map[string]any{"secure_file_priv": dir}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { setFiles("") })
	setFiles("/files")
	fs := c.db.FS()
	for name, text := range map[string]string{
		"/files/a.csv": "id,v\n1,x\n2,\n", "/files/b.jsonl": `{"id": 3, "v": {"a": [1]}}` + "\n", "/files/more.psv": "id|v\n2|y\n4|z\n", "/secret.csv": "id\n1\n", "/db/beside.csv": "id\n1\n",
	} {
		if err := fs.MkdirAll("/files"); err != nil {
			t.Fatal(err)
		}
		if err := vfs.WriteFile(fs, name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	const columns = "rows_processed,additions,modifications,had_no_effect,lines_skipped\n"
	c.want("call stemma_load('-c', '--pk', 'id', 't', 'a.csv')", columns+"2 2 0 0 0")
	c.want("call dolt_load('-u', 't', '/files/more.psv')", columns+"2 1 1 0 0")
	c.want("call stemma_table_import('b.jsonl')", columns+"1 1 0 0 0")
	c.want("select id, v from t order by id", "id,v\n1 x\n2 y\n4 z")
	c.want("call dolt_commit('-Am', 'loaded')", "hash\nHASH")
	for _, file := range []string{"out.csv.gz", "out.jsonl", "out.json", "out.psv", "out.csv.zst", "out.parquet", "out.arrow"} {
		c.want("call stemma_export('t@main', '"+file+"')", "rows\n3")
		c.want("call stemma_load('-c', '-f', 'again', '"+file+"')", columns+"3 3 0 0 0")
		c.want("select group_concat(v order by id) v from again", "v\nx,y,z")
	}
	for q, want := range map[string]string{
		"call stemma_load('../secret.csv')":                    "the only directory whose files may be named here",
		"call stemma_load('-c', 'u', '/secret.csv')":           "the only directory whose files may be named here",
		"call stemma_load('/db/beside.csv')":                   "the only directory whose files may be named here",
		"call stemma_export('t', '/db/out.csv')":               "the only directory whose files may be named here",
		"call stemma_export('t', 'out.psv')":                   "the file exists",
		"call stemma_export('t')":                              "there is no standard output; name a file",
		"call stemma_load('-c', 'u')":                          "there is no standard input; name a file",
		"call stemma_load('nowhere.csv')":                      "nowhere.csv",
		"call stemma_load('-c', '-m', '../map', 'u', 'a.csv')": "the only directory whose files may be named here",
		"call stemma_docs_upload('README.md', '/secret.csv')":  "the only directory whose files may be named here",
		"call stemma_data_lock('--config', '/secret.csv')":     "the only directory whose files may be named here",
	} {
		if got, err := c.run(q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %s", q, got, err, want)
		}
	}
	// Remotes, too, and with MySQL's number of what this setting prevents.
	for _, q := range []string{
		"call dolt_remote('add', 'x', 'file:///elsewhere')", "call dolt_remote('add', 'x', '../elsewhere')", "call dolt_backup('add', 'x', '/elsewhere')", "call dolt_backup('/elsewhere')",
		"call dolt_backup('sync-url', '/elsewhere')", "call dolt_push('/elsewhere', 'main')", "call dolt_gc('--remote', '/elsewhere')", "call stemma_load('../secret.csv')",
	} {
		got, err := c.run(q)
		var told *mysql.SQLError
		if !errors.As(err, &told) || told.Num != 1290 || !strings.Contains(told.Message, "the only directory whose files may be named here") {
			t.Errorf("%s: %s, %v; want error 1290", q, got, err)
		}
	}
	if got, err := c.run("call dolt_ls_remote('./elsewhere')"); err == nil || strings.Contains(err.Error(), "the only directory") {
		t.Errorf("a directory below that one: %s, %v", got, err)
	}
	if _, err := fs.Stat("/db/out.csv"); err == nil {
		t.Error("a file was written beside the directory")
	}
	setFiles("")
	c.want("call stemma_load('-c', 'u', '/secret.csv')", columns+"1 1 0 0 0")
}
