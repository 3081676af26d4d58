//go:build unix

package ingest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// dolt is the address of a new Dolt server with the database labels, which statements fill. The program is the one that STEMMA_TEST_DOLT
// names, or dolt.
func dolt(t *testing.T, statements string) string {
	t.Helper()
	program := os.Getenv("STEMMA_TEST_DOLT")
	if program == "" {
		program, _ = exec.LookPath("dolt")
	}
	if program == "" {
		t.Skip("there is no program dolt; STEMMA_TEST_DOLT names one")
	}
	dir, port := serverDir(t), freePort(t)
	env := append(os.Environ(), "HOME="+dir, "DOLT_ROOT_PATH="+dir, "DOLT_DISABLE_EVENT_FLUSH=true")
	db := filepath.Join(dir, "labels")
	if err := os.Mkdir(db, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "--name", "Ada", "--email", "ada@example.org", "-b", "main"}, {"sql", "-q", statements}} {
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Env = db, env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("dolt %v: %v\n%s", args, err, out)
		}
	}
	cmd := exec.Command(program, "sql-server", "--host", "127.0.0.1", "--port", strconv.Itoa(port))
	cmd.Dir, cmd.Env = db, env
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	start(t, cmd, func() error { return my("root@tcp("+addr+")/labels", "select 1") })
	return addr
}

func TestDolt(t *testing.T) {
	addr := dolt(t, `
create table batch (id int primary key, label varchar(20) default 'none', score float, at datetime(6), doc json, key (label));
insert into batch values (1, 'good', 0.1, '2024-02-29 12:34:56.123456', '{"a": 1}'), (2, 'bad', null, null, null);
call dolt_commit('-Am', 'first', '--date', '2021-04-01T10:00:00');
call dolt_checkout('-b', 'side');
update batch set label = 'better' where id = 1;
create table extra (b int, a int, primary key (a, b));
insert into extra values (1, 2);
call dolt_commit('-Am', 'side', '--author', 'Eve <eve@example.org>');
call dolt_checkout('main');
insert into batch values (3, 'new', 1.5, null, null);
call dolt_commit('-Am', 'third');
call dolt_merge('side', '--no-ff', '-m', 'merged');
drop table extra;
alter table batch add column note text;
call dolt_commit('-Am', 'last');
`)
	s := newSite(t)
	s.says(0, "6 commits, 6 of them new, on 2 branches", "ingest", "dolt://root@"+addr+"/labels")
	s.query("select id, label, score, at, doc, note from batch", "id,label,score,at,doc,note\n"+`1,better,0.1,2024-02-29 12:34:56.123456,"{""a"": 1}",`+"\n2,bad,,,,\n3,new,1.5,,,\n")
	s.query("select * from extra as of 'HEAD~1'", "b,a\n1,2\n")
	s.query("select label from batch as of 'side' where id = 1", "label\nbetter\n")
	s.query("select message, committer from dolt_log('side') limit 1", "message,committer\nside,Eve\n")
	s.query("select count(*) n from dolt_commit_ancestors where parent_index = 1", "n\n1\n")
	s.query("select count(*) n from dolt_diff('HEAD~2', 'HEAD~1', 'batch')", "n\n1\n")
	s.says(0, "6 commits, 0 of them new", "ingest", "dolt://root@"+addr+"/labels")
	if err := my("root@tcp("+addr+")/labels", "delete from batch where id = 2; call dolt_commit('-Am', 'seventh')"); err != nil {
		t.Fatal(err)
	}
	s.says(0, "7 commits, 1 of them new", "ingest", "dolt://"+addr+"/labels")
	s.query("select diff_type from dolt_diff('HEAD~1', 'HEAD', 'batch')", "diff_type\nremoved\n")
	s.clean()
	s.says(2, "for mysql://", "ingest", "dolt://"+addr+"/labels", "-t", "batch")
}
