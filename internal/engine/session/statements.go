package session

import (
	"container/list"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// statementLimit bounds the parsed statements that a session keeps, so that a client which prepares ever new texts does not fill
// the memory.
const statementLimit = 4096

// statements keeps parsed statements by text, the most recently used ones.
type statements struct {
	byText map[string]*list.Element
	order  list.List // of *statement, most recently used first
}

type statement struct {
	text string
	stmt sqlparser.Statement
}

func newStatements() *statements { return &statements{byText: map[string]*list.Element{}} }

func (c *statements) get(text string) (sqlparser.Statement, bool) {
	e, ok := c.byText[text]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*statement).stmt, true
}

func (c *statements) put(text string, stmt sqlparser.Statement) {
	if e, ok := c.byText[text]; ok {
		e.Value.(*statement).stmt = stmt
		c.order.MoveToFront(e)
		return
	}
	c.byText[text] = c.order.PushFront(&statement{text: text, stmt: stmt})
	if c.order.Len() > statementLimit {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.byText, last.Value.(*statement).text)
	}
}

func (c *statements) drop(text string) {
	if e, ok := c.byText[text]; ok {
		c.order.Remove(e)
		delete(c.byText, text)
	}
}
