package engine

import (
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
)

// stats keeps the statistics that ANALYZE or a user gives. The numbers of rows come from the tables, which know them.
type stats struct {
	mu sync.RWMutex
	m  map[sql.StatQualifier]sql.Statistic
}

var _ sql.StatsProvider = (*stats)(nil)

func newStats() *stats { return &stats{m: map[sql.StatQualifier]sql.Statistic{}} }

// GetTableStats implements sql.StatsProvider.
func (s *stats) GetTableStats(_ *sql.Context, _, db string, table sql.Table) ([]sql.Statistic, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []sql.Statistic
	for q, st := range s.m {
		if strings.EqualFold(q.Database, db) && strings.EqualFold(q.Table(), table.Name()) {
			out = append(out, st)
		}
	}
	return out, nil
}

// AnalyzeTable implements sql.StatsProvider. There is nothing to gather: counts are always exact.
func (s *stats) AnalyzeTable(*sql.Context, sql.Table, string) error { return nil }

// SetStats implements sql.StatsProvider.
func (s *stats) SetStats(_ *sql.Context, st sql.Statistic) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[st.Qualifier()] = st
	return nil
}

// GetStats implements sql.StatsProvider.
func (s *stats) GetStats(_ *sql.Context, q sql.StatQualifier, _ []string) (sql.Statistic, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st, ok := s.m[q]
	return st, ok
}

// DropStats implements sql.StatsProvider.
func (s *stats) DropStats(_ *sql.Context, q sql.StatQualifier, _ []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, q)
	return nil
}

// DropDbStats implements sql.StatsProvider.
func (s *stats) DropDbStats(_ *sql.Context, _, db string, _ bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for q := range s.m {
		if strings.EqualFold(q.Database, db) {
			delete(s.m, q)
		}
	}
	return nil
}

// RowCount implements sql.StatsProvider.
func (s *stats) RowCount(ctx *sql.Context, _, _ string, table sql.Table) (uint64, error) {
	if t, ok := table.(sql.StatisticsTable); ok {
		n, _, err := t.RowCount(ctx)
		return n, err
	}
	return 0, nil
}

// DataLength implements sql.StatsProvider.
func (s *stats) DataLength(ctx *sql.Context, _, _ string, table sql.Table) (uint64, error) {
	if t, ok := table.(sql.StatisticsTable); ok {
		return t.DataLength(ctx)
	}
	return 0, nil
}
