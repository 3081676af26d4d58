package torture

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The tables of a ledger. A transaction is a worker's name and a number, "w-7"; it writes as many rows into lhs as into rhs, and adds
// one to the worker's counter. rhs has no key and counter is added to, so that a transaction that was applied twice shows. One of the
// worker that imports is a file of bulkRows lines, in bulk.
const ledgerTables = `
create table lhs (tx varchar(40) not null, i int not null, v bigint, pad longtext, primary key (tx, i));
create table rhs (tx varchar(40), i int, v bigint);
create table bulk (tx varchar(40), i int, v bigint);
create table counter (worker varchar(20) primary key, n bigint not null)`

// bulkRows is the number of rows of an import.
const bulkRows = 2000

// txName is the name of a worker's k-th transaction.
func txName(worker string, k int) string { return worker + "-" + strconv.Itoa(k) }

// txRows is the number of rows that a transaction writes into each table.
func txRows(tx string) int {
	_, digits, _ := strings.Cut(tx, "-")
	k, err := strconv.Atoi(digits)
	if err != nil {
		return -1 // no transaction of ours
	}
	return 1 + k%7
}

// txStatements are the statements of a transaction, without its begin and commit. Each row of lhs carries pad bytes that nothing
// compresses much.
func txStatements(worker string, k, pad int) []string {
	tx := txName(worker, k)
	var lhs, rhs []string
	for i := range txRows(tx) {
		lhs = append(lhs, fmt.Sprintf("('%s', %d, %d, '%s')", tx, i, k*100+i, noise(uint64(k*100+i), pad)))
		rhs = append(rhs, fmt.Sprintf("('%s', %d, %d)", tx, i, k*100+i))
	}
	return []string{
		"insert into lhs values " + strings.Join(lhs, ", "),
		fmt.Sprintf("update counter set n = n + 1 where worker = '%s'", worker),
		"insert into rhs values " + strings.Join(rhs, ", "),
	}
}

// noise is n hexadecimal digits.
func noise(seed uint64, n int) string {
	rng := rand.New(rand.NewPCG(seed, 3))
	b := make([]byte, n/2)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return fmt.Sprintf("%x", b)
}

// seen is what a reader finds in the tables of a ledger at one moment.
type seen struct {
	lhs, rhs, bulk map[string]int // rows of each transaction
	counter        map[string]int
}

func newSeen() *seen {
	return &seen{lhs: map[string]int{}, rhs: map[string]int{}, bulk: map[string]int{}, counter: map[string]int{}}
}

// torn complains of transactions of which a part is there, or more than all.
func (s *seen) torn() []string {
	var out []string
	done := map[string]int{}
	for tx, n := range s.lhs {
		worker, _, _ := strings.Cut(tx, "-")
		done[worker]++
		if n != txRows(tx) || s.rhs[tx] != n {
			out = append(out, fmt.Sprintf("%s has %d rows in lhs and %d in rhs, want %d", tx, n, s.rhs[tx], txRows(tx)))
		}
	}
	for tx, n := range s.rhs {
		if _, ok := s.lhs[tx]; !ok {
			out = append(out, fmt.Sprintf("%s has no rows in lhs and %d in rhs", tx, n))
		}
	}
	for tx, n := range s.bulk {
		if n != bulkRows {
			out = append(out, fmt.Sprintf("%s has %d rows in bulk, want %d", tx, n, bulkRows))
		}
	}
	for worker, n := range s.counter {
		if n != done[worker] {
			out = append(out, fmt.Sprintf("%s has counted %d transactions, %d are there", worker, n, done[worker]))
		}
	}
	slices.Sort(out)
	return out
}

// missing is those of the transactions that are not there.
func (s *seen) missing(txs []string) []string {
	var out []string
	for _, tx := range txs {
		if s.lhs[tx] == 0 && s.bulk[tx] == 0 {
			out = append(out, tx+" was acknowledged and is not seen")
		}
	}
	return out
}

// fate is what a worker knows of a transaction or a commit.
type fate int

const (
	unknown fate = iota // no answer: it may be there
	acked               // acknowledged: it must be there
	refused             // an error was the answer: it must not be there
)

// ledger is what workers did and were told.
type ledger struct {
	mu      sync.Mutex
	txs     map[string]fate
	commits map[string]fate // by message
}

func newLedger() *ledger { return &ledger{txs: map[string]fate{}, commits: map[string]fate{}} }

func (l *ledger) tx(name string, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.txs[name] = f
}

func (l *ledger) commit(message string, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits[message] = f
}

// acknowledged is the names of the transactions that were acknowledged so far.
func (l *ledger) acknowledged() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for tx, f := range l.txs {
		if f == acked {
			out = append(out, tx)
		}
	}
	return out
}

// settle compares what is there with what workers were told, when none is at work. What was unknown is known afterwards: what is
// there has been seen, so it must stay, and what is not must not come back.
func (l *ledger) settle(s *seen, messages []string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := s.torn()
	there := map[string]int{}
	for tx := range s.lhs {
		there[tx]++
	}
	for tx := range s.bulk {
		there[tx]++
	}
	out = append(out, compare("transaction", l.txs, there)...)
	clear(there)
	for _, m := range messages {
		there[m]++
	}
	return append(out, compare("commit", l.commits, there)...)
}

// compare compares fates with the number of times that things are there.
func compare(kind string, fates map[string]fate, there map[string]int) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(fates)) {
		switch n := there[name]; {
		case n > 1:
			out = append(out, fmt.Sprintf("%s %s is there %d times", kind, name, n))
		case n == 0 && fates[name] == acked:
			out = append(out, fmt.Sprintf("%s %s was acknowledged and is lost", kind, name))
		case n == 1 && fates[name] == refused:
			out = append(out, fmt.Sprintf("%s %s was refused and is there", kind, name))
		case n == 1:
			fates[name] = acked
		default:
			fates[name] = refused
		}
	}
	for name := range there {
		if _, ok := fates[name]; !ok {
			out = append(out, fmt.Sprintf("%s %s is there, and nobody made it", kind, name))
		}
	}
	return out
}
