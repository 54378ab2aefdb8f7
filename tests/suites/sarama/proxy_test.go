//go:build functional

// Proxies that tests tell over HTTP to be slow, to reset connections or to be gone, with that part of
// Toxiproxy's interface which the client's tests use.

package sarama

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

type tcpProxy struct {
	name     string
	listen   string
	upstream string

	lock     sync.Mutex
	listener net.Listener
	latency  time.Duration
	resets   bool
	open     map[net.Conn]bool
}

type proxySet struct {
	mux  *http.ServeMux
	lock sync.Mutex
	all  map[string]*tcpProxy
}

func newProxies() http.Handler {
	set := &proxySet{mux: http.NewServeMux(), all: map[string]*tcpProxy{}}
	set.mux.HandleFunc("POST /proxies", set.create)
	set.mux.HandleFunc("POST /proxies/{name}", set.change)
	set.mux.HandleFunc("POST /proxies/{name}/toxics", set.addToxic)
	set.mux.HandleFunc("POST /reset", set.reset)
	return set.mux
}

type proxyState struct {
	Name     string `json:"name"`
	Listen   string `json:"listen"`
	Upstream string `json:"upstream"`
	Enabled  bool   `json:"enabled"`
}

func (s *proxySet) create(w http.ResponseWriter, r *http.Request) {
	var wanted proxyState
	if !decoded(w, r, &wanted) {
		return
	}
	proxy := &tcpProxy{
		name: wanted.Name, listen: wanted.Listen, upstream: wanted.Upstream, open: map[net.Conn]bool{},
	}
	s.lock.Lock()
	s.all[wanted.Name] = proxy
	s.lock.Unlock()
	answer(w, http.StatusCreated, proxy.enable(wanted.Enabled))
}

func (s *proxySet) named(w http.ResponseWriter, r *http.Request) *tcpProxy {
	s.lock.Lock()
	defer s.lock.Unlock()
	proxy := s.all[r.PathValue("name")]
	if proxy == nil {
		http.Error(w, "no such proxy", http.StatusNotFound)
	}
	return proxy
}

func (s *proxySet) change(w http.ResponseWriter, r *http.Request) {
	proxy := s.named(w, r)
	var wanted proxyState
	if proxy == nil || !decoded(w, r, &wanted) {
		return
	}
	answer(w, http.StatusOK, proxy.enable(wanted.Enabled))
}

func (s *proxySet) addToxic(w http.ResponseWriter, r *http.Request) {
	proxy := s.named(w, r)
	var toxic struct {
		Type       string         `json:"type"`
		Attributes map[string]int `json:"attributes"`
	}
	if proxy == nil || !decoded(w, r, &toxic) {
		return
	}
	var err error
	switch toxic.Type {
	case "latency":
		proxy.lock.Lock()
		proxy.latency = time.Duration(toxic.Attributes["latency"]) * time.Millisecond
		proxy.lock.Unlock()
	case "reset_peer":
		proxy.resetAll()
	default:
		err = fmt.Errorf("no such toxic: %q", toxic.Type)
	}
	answer(w, http.StatusOK, err)
}

func (s *proxySet) reset(w http.ResponseWriter, _ *http.Request) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, proxy := range s.all {
		proxy.lock.Lock()
		proxy.latency, proxy.resets = 0, false
		proxy.lock.Unlock()
		if err := proxy.enable(true); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func decoded(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(into)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

func answer(w http.ResponseWriter, good int, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(good)
}

// A proxy that is not enabled is gone: nobody can connect, and whoever was connected is not.
func (p *tcpProxy) enable(wanted bool) error {
	p.lock.Lock()
	defer p.lock.Unlock()
	if wanted == (p.listener != nil) {
		return nil
	}
	if !wanted {
		p.listener.Close()
		p.listener = nil
		for conn := range p.open {
			conn.Close()
		}
		return nil
	}
	listener, err := net.Listen("tcp", p.listen)
	if err == nil {
		p.listener = listener
		go p.serve(listener)
	}
	return err
}

func (p *tcpProxy) resetAll() {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.resets = true
	for conn := range p.open {
		abandon(conn)
	}
}

// Closes a connection so that its peer sees it reset.
func abandon(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

func (p *tcpProxy) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go p.carry(listener, client)
	}
}

func (p *tcpProxy) carry(listener net.Listener, client net.Conn) {
	broker, err := net.Dial("tcp", p.upstream)
	if err != nil {
		client.Close()
		return
	}
	p.lock.Lock()
	if p.resets || p.listener != listener {
		p.lock.Unlock()
		abandon(client)
		broker.Close()
		return
	}
	p.open[client], p.open[broker] = true, true
	p.lock.Unlock()
	both := sync.WaitGroup{}
	both.Go(func() { p.copyLate(client, broker) })
	both.Go(func() {
		_, _ = io.Copy(broker, client)
		broker.Close()
	})
	both.Wait()
	p.lock.Lock()
	delete(p.open, client)
	delete(p.open, broker)
	p.lock.Unlock()
}

type late struct {
	bytes []byte
	due   time.Time
}

// What the broker says reaches the client later by the latency; how much it says at once is not
// changed by that.
func (p *tcpProxy) copyLate(client, broker net.Conn) {
	queue := make(chan late, 256)
	go func() {
		defer close(queue)
		for {
			bytes := make([]byte, 64<<10)
			n, err := broker.Read(bytes)
			if err != nil {
				return
			}
			p.lock.Lock()
			due := time.Now().Add(p.latency)
			p.lock.Unlock()
			queue <- late{bytes[:n], due}
		}
	}()
	for next := range queue {
		time.Sleep(time.Until(next.due))
		if _, err := client.Write(next.bytes); err != nil {
			break
		}
	}
	client.Close()
	broker.Close()
	for range queue {
		// Until the reader has noticed.
	}
}
