// Everything works without this file but for shortcuts and live updates. No state is kept but whether shortcuts are wanted.
import { initAll } from './vendor/govuk-frontend.js'

document.body.classList.add('js-enabled', 'govuk-frontend-supported')
initAll()

const WANTED = 'onefriend-shortcuts'
const wanted = () => localStorage.getItem(WANTED) !== 'off'
const find = (selector) => document.querySelector(selector)

// ------------------------------------------------------------------------------------------------------ shortcuts
const help = find('[data-keys-help]')
const toggle = find('[data-keys-switch]')
function show () {
  toggle.setAttribute('aria-pressed', String(wanted()))
  toggle.textContent = wanted() ? 'Shortcuts are on' : 'Shortcuts are off'
}
if (help) {
  help.hidden = false
  show()
  toggle.addEventListener('click', () => {
    localStorage.setItem(WANTED, wanted() ? 'off' : 'on')
    show()
  })
}

function step (by) {
  const rows = [...document.querySelectorAll('[data-row]')]
  if (rows.length) {
    const at = rows.indexOf(document.activeElement)
    const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1)
    rows[next].focus()
  } else {
    find(by > 0 ? '[data-after]' : '[data-before]')?.click()
  }
}

// An answer is chosen by its letter and sent only by the button: nobody decides by leaning on the keyboard.
function choose (radio) {
  radio.checked = true
  radio.dispatchEvent(new Event('change', { bubbles: true }))
  const reason = find('#reason')
  if (reason && !reason.value) reason.focus()
  else find('[data-save]')?.focus()
}

document.addEventListener('keydown', (event) => {
  if (!wanted() || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return
  if (event.target.closest('input:not([type=radio]), select, textarea')) return
  if (event.key === 'j' || event.key === 'k') return step(event.key === 'j' ? 1 : -1)
  const target = ['s', 'd', 'c', 'u'].includes(event.key) && find(`[data-key="${event.key}"]`)
  if (!target) return
  event.preventDefault()
  if (target.type === 'radio') choose(target)
  else target.focus()
})

// --------------------------------------------------------------------------------------------------- live updates
const live = find('[data-live]')
let focused = null
document.body.addEventListener('htmx:beforeSwap', () => { focused = document.activeElement?.getAttribute('href') })
document.body.addEventListener('htmx:afterSettle', () => {
  // Whoever was on a row stays on it.
  if (focused) find(`[data-row][href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true })
})
if (live && find('[sse-connect]')) {
  document.body.addEventListener('htmx:sseOpen', () => { live.textContent = 'This list is live.' })
  for (const event of ['htmx:sseError', 'htmx:sendError', 'htmx:responseError']) {
    document.body.addEventListener(event, () => { live.textContent = 'Not live now: load the page again to see what is new.' })
  }
}
